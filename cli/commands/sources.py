"""Sources: where hosts or virtual resources are kept elsewhere and asked for over HTTP."""

from typing import Any

import click
import msgspec

from cli.client import typed
from cli.commands.imports import finish, rules_of, rules_options, text_of
from cli.display import Form, emit, facts, rows, talk, when
from cli.durations import Duration
from cli.scripts import pairs
from cli.session import Session, data_options, pass_session
from cli.words import Word
from contracts.imports import Rules, VirtualRules, show_import
from contracts.sources import (
    DeleteSource,
    ListSources,
    Paging,
    PutSource,
    RunSource,
    Source,
    SourceAuth,
    SourceMapping,
    SourceRef,
    Sources,
    delete_source,
    list_sources,
    put_source,
    run_source,
    show_source,
)


@click.group("source")
def source_group() -> None:
    """Where hosts, or virtual resources, are kept elsewhere, such as a CMDB that answers over HTTP."""


@source_group.command("put")
@click.argument("name")
@click.argument("url")
@click.option("--rows", "path", default="", metavar="PATH", help="Where an answer has its rows, such as data.items.")
@click.option(
    "--paging", type=Word(Paging), default=Paging.NONE.value, show_default=True, help="How it gives its pages."
)
@click.option("--parameter", default="page", show_default=True, help="Of the address: number or cursor of the page.")
@click.option("--first-page", type=int, default=1, show_default=True, help="The number of its first page.")
@click.option("--next", "following", default="", metavar="PATH", help="Where an answer has the next cursor or address.")
@click.option(
    "--auth",
    type=Word(SourceAuth),
    default=SourceAuth.NONE.value,
    show_default=True,
    help="How the secret is presented.",
)
@click.option("--header", default="", help="With --auth header: its name.")
@click.option("--secret-file", help="A file with the secret, - for stdin; left out, the one that is kept stays.")
@click.option("--every", type=Duration("60s", "31d"), help="Ask it again and again; left out: on demand only.")
@click.option("--disabled", is_flag=True, help="Keep it, and do not ask it by itself.")
@click.option("--virtual", is_flag=True, help="Its rows are virtual resources; only --column and --default apply.")
@rules_options
@data_options
@pass_session
def put(session: Session, /, form: Form, **given: Any) -> None:
    """Define a source, or define it anew. --column takes paths into a row: --column net.ip=ips.

    The fields of virtual resources are host (an id or an IP), kind, name, observed and known.NAME.

    \b
    Examples:
      drover source put cmdb https://cmdb.example/hosts --rows data.items --paging page --column fqdn=hostname
      drover source put cmdb https://cmdb.example/hosts --auth bearer --secret-file token --every 1h --vanished faulty
      drover source put vms https://cmdb.example/vms --virtual --default kind=vm --column hv.ip=host --every 1h
    """
    mapping = SourceMapping(
        url=given["url"],
        rows=given["path"],
        paging=given["paging"],
        parameter=given["parameter"],
        first_page=given["first_page"],
        next=given["following"],
        auth=given["auth"],
        header=given["header"],
    )
    request = PutSource(
        name=given["name"],
        mapping=mapping,
        rules=Rules() if given["virtual"] else rules_of(given["name"], given),
        virtual=_virtual_rules(given) if given["virtual"] else None,
        secret=text_of(given["secret_file"]).strip() if given["secret_file"] else None,
        every_s=given["every"] or 0,
        enabled=not given["disabled"],
    )
    content, made = session.client.both(put_source, request)
    emit(form, content, lambda: [made.name], lambda: _source(made))


@source_group.command("list")
@data_options
@pass_session
def list_sources_(session: Session, form: Form) -> None:
    """List sources, all of them.

    \b
    Examples:
      drover source list
    """
    content = session.client.all_pages(list_sources, ListSources(limit=1000))
    found = typed(content, Sources).sources

    def table() -> None:
        rows(
            ("NAME", "OF", "URL", "EVERY", "NEXT", "LAST IMPORT"),
            [(s.name, _of(s), s.mapping.url, f"{s.every_s} s", when(s.next_at), s.last_import) for s in found],
        )

    emit(form, content, lambda: [each.name for each in found], table)


@source_group.command("show")
@click.argument("name")
@data_options
@pass_session
def show_source_(session: Session, name: str, form: Form) -> None:
    """Show a source.

    \b
    Examples:
      drover source show cmdb
    """
    content, found = session.client.both(show_source, SourceRef(name=name))
    emit(form, content, lambda: [found.name], lambda: _source(found))


@source_group.command("run")
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Only show the difference.")
@data_options
@pass_session
def run(session: Session, name: str, dry_run: bool, form: Form) -> None:
    """Ask a source now, and wait until what it says is imported.

    \b
    Examples:
      drover source run cmdb --dry-run
    """
    begun = session.client.call(run_source, RunSource(name=name, dry_run=dry_run))
    talk(f"import {begun.id} begun")
    finish(session.client, show_import, begun.id, form)


@source_group.command("delete")
@click.argument("name")
@click.option("--revision", type=int, help="Only if nobody changed it since this one.")
@data_options
@pass_session
def delete(session: Session, name: str, revision: int | None, form: Form) -> None:
    """Delete a source. Its hosts stay as they are; virtual resources that it brought are stale from now on.

    \b
    Examples:
      drover source delete cmdb
    """
    content, found = session.client.both(delete_source, DeleteSource(name=name, revision=revision))
    emit(form, content, lambda: [found.name], lambda: _source(found))


def _virtual_rules(given: dict[str, Any]) -> VirtualRules:
    columns = dict(word.rpartition("=")[::2] for word in given["column"])
    wanted = {"columns": columns, "defaults": pairs(given["defaults"], "--default")}
    try:
        return msgspec.convert(wanted, VirtualRules)
    except msgspec.ValidationError as error:
        raise click.UsageError(f"--column or --default of a virtual resource: {error}") from None


def _of(found: Source) -> str:
    return "virtual resources" if found.virtual else "hosts"


def _source(found: Source) -> None:
    columns = found.virtual.columns if found.virtual else found.rules.columns
    facts(
        [
            ("name", found.name),
            ("of", _of(found)),
            ("url", found.mapping.url),
            ("auth", found.mapping.auth),
            ("secret", "kept" if found.has_secret else ""),
            ("rows", found.mapping.rows),
            ("paging", found.mapping.paging),
            ("columns", "\n".join(f"{column} → {name or 'nothing'}" for column, name in columns.items())),
            ("every", f"{found.every_s} s" if found.every_s else ""),
            ("next", when(found.next_at)),
            ("last import", found.last_import),
            ("changed", f"{when(found.changed_at)} by {found.changed_by}"),
            ("revision", str(found.revision)),
        ]
    )
