"""Templates, and what they come to for hosts."""

from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec
from msgspec import UNSET

from cli.client import Client, typed
from cli.commands.host import identified
from cli.commands.variables import revision_option, task_option
from cli.content import Content
from cli.display import Form, emit, out, rows, talk, when
from cli.exits import Exit
from cli.folding import NAMES_SHOWN
from cli.session import Session, data_options, pass_session
from contracts.templates import (
    DiffTemplate,
    LintTemplate,
    ListTemplates,
    ListTemplateVersions,
    RenderedHost,
    RenderedHosts,
    RenderProblem,
    RenderTemplate,
    SaveTemplate,
    ShowTemplate,
    TemplateLint,
    Templates,
    TemplateVersions,
    diff_template,
    lint_template,
    list_template_versions,
    list_templates,
    render_template,
    save_template,
    show_template,
)

text_option = click.option("--text", type=Content(), default=None, help="This file instead of a saved text.")


@click.group("template")
def template_group() -> None:
    """Templates: Jinja2 texts, rendered for each host with its variables."""


@template_group.command("list")
@click.option("--search", default="", help="Only where the name, or a part of a key that is read, begins with this.")
@click.option("--tag", multiple=True, help="Only with this tag; of several, any one will do.")
@data_options
@pass_session
def list_(session: Session, search: str, tag: tuple[str, ...], form: Form) -> None:
    """List templates.

    \b
    Examples:
      drover template list --tag web
      drover template list --search region.mongodb
    """
    content = session.client.all_pages(list_templates, ListTemplates(search=search, tags=tag, limit=500))
    found = typed(content, Templates).templates

    def table() -> None:
        rows(
            ("NAME", "REVISION", "CHANGED", "BY", "TAGS", "DESCRIPTION"),
            [
                (t.name, str(t.revision), when(t.changed_at), t.changed_by, ",".join(t.tags), t.description)
                for t in found
            ],
        )

    emit(form, content, lambda: [each.name for each in found], table)


@template_group.command("show")
@click.argument("name")
@revision_option
@click.option("--reads", is_flag=True, help="The variables that it reads, instead of its text.")
@data_options
@pass_session
def show(session: Session, name: str, revision: int | None, reads: bool, form: Form) -> None:
    """Print a template.

    \b
    Examples:
      drover template show nginx.conf
      drover template show nginx.conf --reads
    """
    content, found = session.client.both(show_template, ShowTemplate(name=name, revision=revision or 0))

    def table() -> None:
        if reads:
            _reads(found.reads)
        else:
            out(found.text, newline=not found.text.endswith("\n"))

    emit(form, content, lambda: [found.name], table)


@template_group.command("save")
@click.argument("name")
@click.argument("text", metavar="FILE", type=Content())
@click.option("--description", help="What it is for; left out: as it is.")
@click.option("--tag", multiple=True, help="Repeatable; left out: as they are.")
@click.option("--why", default="", help="Kept with the version.")
@click.option("--revision", type=click.IntRange(min=0), help="Refuse if it is not this revision any more; 0: if new.")
@data_options
@pass_session
def save(session: Session, /, name: str, text: str, form: Form, **given: Any) -> None:
    """Save FILE, - for stdin, as the newest version of a template.

    \b
    Examples:
      drover template save nginx.conf nginx.conf.j2 --tag web --why 'more workers'
      drover template show nginx.conf > t; vi t; drover template save nginx.conf t
    """
    request = SaveTemplate(
        name=name,
        text=text,
        description=UNSET if given["description"] is None else given["description"],
        tags=given["tag"] or UNSET,
        why=given["why"],
        revision=given["revision"],
    )
    content, found = session.client.both(save_template, request)
    emit(form, content, lambda: [found.name], lambda: out(f"{found.name} revision {found.revision}"))


@template_group.command("versions")
@click.argument("name")
@data_options
@pass_session
def versions(session: Session, name: str, form: Form) -> None:
    """List the versions of a template, newest first.

    \b
    Examples:
      drover template versions nginx.conf
    """
    content = session.client.all_pages(list_template_versions, ListTemplateVersions(name=name, limit=500))
    found = typed(content, TemplateVersions).versions

    def table() -> None:
        rows(
            ("REVISION", "CHANGED", "BY", "WHY"),
            [(str(each.revision), when(each.changed_at), each.changed_by, each.why) for each in found],
        )

    emit(form, content, lambda: [str(each.revision) for each in found], table)


@template_group.command("render")
@click.argument("name")
@click.argument("hosts", nargs=-1, required=True, metavar="HOST...")
@revision_option
@text_option
@task_option
@click.option("--values", is_flag=True, help="Print the values that it reads instead.")
@data_options
@pass_session
@click.pass_context
def render(
    ctx: click.Context, session: Session, /, name: str, hosts: tuple[str, ...], form: Form, **given: Any
) -> None:
    """Print what a template comes to for hosts. Secret values are masked.

    \b
    Examples:
      drover template render nginx.conf web1
      drover template render nginx.conf web1 web2 --text nginx.conf.j2
      drover template render nginx.conf web1 --task task.yaml --values
    """
    asked = RenderTemplate(
        name=name,
        hosts=("-",),
        revision=given["revision"] or 0,
        text=given["text"],
        task=given["task"] or "",
        values=given["values"],
    )
    content = _rendered(session.client, hosts, asked)
    found = typed(content, RenderedHosts).hosts
    table = _values if given["values"] else _texts
    emit(form, content, lambda: [each.host for each in found if each.error is None], lambda: table(found))
    if any(each.error for each in found):
        ctx.exit(Exit.FAILED_HOSTS)


def _texts(found: Sequence[RenderedHost]) -> None:
    for each in found:
        if each.text is not None:
            if len(found) > 1:
                out(f"# {each.host}")
            out(each.text, newline=not each.text.endswith("\n"))
    _failed(found)


def _failed(found: Sequence[RenderedHost]) -> None:
    """Hosts that fail in the same way are one line."""
    folds: dict[RenderProblem, list[str]] = {}
    for each in found:
        if each.error is not None:
            folds.setdefault(each.error, []).append(each.host)
    for error, hosts in folds.items():
        more = f" and {len(hosts) - NAMES_SHOWN} more" if len(hosts) > NAMES_SHOWN else ""
        talk(f"{', '.join(hosts[:NAMES_SHOWN])}{more}: line {error.line}: {error.message} ({error.reason})")


def _values(found: Sequence[RenderedHost]) -> None:
    rows(
        ("HOST", "KEY", "VALUE"),
        [(host.host, key, msgspec.json.encode(value).decode()) for host in found for key, value in host.values.items()],
    )
    _failed(found)


@template_group.command("lint")
@click.argument("name")
@click.argument("hosts", nargs=-1, metavar="[HOST...]")
@revision_option
@text_option
@task_option
@data_options
@pass_session
@click.pass_context
def lint(ctx: click.Context, session: Session, /, name: str, hosts: tuple[str, ...], form: Form, **given: Any) -> None:
    """Print the variables that a template reads, and which of the hosts lack one. Exit status 1 if any does.

    \b
    Examples:
      drover template lint nginx.conf
      drover template lint nginx.conf web1 web2 --text nginx.conf.j2
    """
    request = LintTemplate(
        name=name,
        hosts=_ids(session.client, hosts),
        revision=given["revision"] or 0,
        text=given["text"],
        task=given["task"] or "",
    )
    content, found = session.client.both(lint_template, request)
    emit(form, content, lambda: [each.key for each in found.lacking], lambda: _lint(found))
    if found.lacking:
        ctx.exit(Exit.FAILED_HOSTS)


@template_group.command("diff")
@click.argument("name")
@revision_option
@click.option("--against", type=click.IntRange(min=0), help="Default: the one before. 0 is nothing.")
@click.option("--content", type=Content(), default=None, help="What is on the host, - for stdin.")
@click.option("--host", default="", help="With --content: whose that is.")
@task_option
@data_options
@pass_session
def diff(session: Session, /, name: str, host: str, form: Form, **given: Any) -> None:
    """Compare two versions of a template, or what a host has with what it should have.

    \b
    Examples:
      drover template diff nginx.conf --against 2
      drover template diff nginx.conf --host web1 --content nginx.conf-of-web1
    """
    request = DiffTemplate(
        name=name,
        revision=given["revision"] or 0,
        against=given["against"],
        content=given["content"],
        host=identified(session.client, host) if host else "",
        task=given["task"] or "",
    )
    content, found = session.client.both(diff_template, request)
    emit(form, content, lambda: [name] if not found.equal else [], lambda: out(found.text, newline=False))


def _ids(client: Client, hosts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(identified(client, each) for each in hosts))


def _rendered(client: Client, hosts: Iterable[str], asked: RenderTemplate) -> dict[str, Any]:
    """The reply as if one message held all hosts."""
    rest = _ids(client, hosts)
    whole: dict[str, Any] = {"revision": 0, "hosts": [], "rest": []}
    while rest:
        now, later = rest[:100], rest[100:]
        content, page = client.both(render_template, msgspec.structs.replace(asked, hosts=now))
        whole["revision"] = page.revision
        whole["hosts"] += content["hosts"]
        rest = (*page.rest, *later)
    return whole


def _lint(found: TemplateLint) -> None:
    lacking = {each.key: each for each in found.lacking}
    _reads(found.reads, {key: f"{each.count}: {', '.join(each.hosts)}" for key, each in lacking.items()})


def _reads(reads: Iterable[Any], lacking: dict[str, str] | None = None) -> None:
    rows(
        ("KEY", "LINES", "OPTIONAL", *(["HOSTS WITHOUT IT"] if lacking is not None else [])),
        [
            (
                each.key,
                ",".join(map(str, each.lines)),
                "yes" if each.optional else "",
                *([lacking.get(each.key, "")] if lacking is not None else []),
            )
            for each in reads
        ],
    )
