"""Variables of groups and hosts, and what they come to."""

from collections.abc import Iterable
from typing import Any

import click
import msgspec
from msgspec import UNSET

from cli.client import Client, typed
from cli.commands.host import identified
from cli.content import Content
from cli.display import Form, emit, out, rows, talk, when
from cli.exits import Refused
from cli.folding import counted
from cli.session import Session, data_options, pass_session
from cli.terminal import can_ask
from cli.words import Word
from contracts.variables import (
    AskEffective,
    BlastRadius,
    DiffVersions,
    EffectiveOfHosts,
    EffectiveVariables,
    Hidden,
    KeyChange,
    ListVariables,
    ListVersions,
    PreviewVariables,
    ScopeKind,
    Scopes,
    SetVariables,
    ShowVariables,
    ValueOrigin,
    Variables,
    VariablesVersions,
    diff_variables,
    effective_variables,
    list_variables,
    list_variables_versions,
    preview_variables,
    set_variables,
    show_variables,
)

revision_option = click.option("--revision", type=click.IntRange(min=1), default=None, help="Default: the newest.")
task_option = click.option("--task", type=Content(), help="Variables as a task brings them, - for stdin.")


@click.group("var")
def var_group() -> None:
    """Variables: YAML of groups and hosts, and what they come to.

    A SCOPE is global, group:NAME or host:HOST, where HOST is an id, a host name or an IP.
    """


def scope_of(client: Client, word: str) -> str:
    kind, _, name = word.partition(":")
    if word == "global":
        return "group:global"
    if kind == "host" and name:
        return f"host:{identified(client, name)}"
    if kind == "group" and name:
        return word
    raise click.UsageError(f"{word!r} is no scope: write global, group:NAME or host:HOST")


@var_group.command("list")
@click.option("--kind", type=Word(ScopeKind), help="Only groups, or only hosts.")
@click.option("--search", default="", help="Only where a part of a key or a value begins with this.")
@data_options
@pass_session
def list_(session: Session, kind: ScopeKind | None, search: str, form: Form) -> None:
    """List the scopes that have variables, or find keys and values.

    \b
    Examples:
      drover var list
      drover var list --search mongodb.hosts
      drover var list --kind host -o name
    """
    content = session.client.all_pages(list_variables, ListVariables(kind=kind, search=search, limit=100))
    found = typed(content, Scopes).scopes

    def table() -> None:
        rows(
            ("SCOPE", "REVISION", "KEYS", "CHANGED", "BY", "FOUND" if search else "WHY"),
            [
                (
                    each.scope,
                    str(each.revision),
                    str(each.keys),
                    when(each.changed_at),
                    each.changed_by,
                    "  ".join(f"{key}={_value(value)}" for key, value in each.found.items()) if search else each.why,
                )
                for each in found
            ],
        )

    emit(form, content, lambda: [each.scope for each in found], table)


@var_group.command("show")
@click.argument("scope")
@revision_option
@click.option("--flat", is_flag=True, help="One flattened key per line.")
@data_options
@pass_session
def show(session: Session, scope: str, revision: int | None, flat: bool, form: Form) -> None:
    """Print the variables of a scope as YAML. Secret values are masked.

    \b
    Examples:
      drover var show global
      drover var show group:web --flat
      drover var show host:web1 --revision 3
    """
    request = ShowVariables(scope=scope_of(session.client, scope), revision=revision or 0)
    content, found = session.client.both(show_variables, request)
    emit(form, content, lambda: found.flat, lambda: _print(found.text, found.flat, flat))
    _tell(found)


@var_group.command("set")
@click.argument("scope")
@click.argument("text", metavar="FILE", type=Content())
@click.option("--why", default="", help="Kept with the version.")
@click.option("--revision", type=click.IntRange(min=0), help="Refuse if it is not this revision any more.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@data_options
@pass_session
def set_(session: Session, /, scope: str, text: str, form: Form, **given: Any) -> None:
    """Set the variables of a scope to what FILE says, - for stdin.

    At a terminal it says first which hosts and templates would change, and asks. A secret is written
    `password: !secret text`; one that reads masked keeps its value.

    \b
    Examples:
      drover var set group:web web.yaml --why 'more workers'
      drover var show group:web > web.yaml; vi web.yaml; drover var set group:web web.yaml
      echo 'region: {id: 7001}' | drover var set group:idc:js -
    """
    client = session.client
    known = scope_of(client, scope)
    revision = given["revision"]
    if can_ask() and not given["yes"]:
        revision = client.call(show_variables, ShowVariables(scope=known)).revision if revision is None else revision
        _blast(client.call(preview_variables, PreviewVariables(scope=known, text=text)), talk)
        click.confirm(f"Set the variables of {scope}?", abort=True, err=True)
    request = SetVariables(scope=known, text=text, why=given["why"], revision=revision)
    content, found = client.both(set_variables, request)
    emit(form, content, lambda: [found.scope], lambda: out(f"{found.scope} revision {found.revision}"))
    _tell(found)


@var_group.command("versions")
@click.argument("scope")
@data_options
@pass_session
def versions(session: Session, scope: str, form: Form) -> None:
    """List the versions of a scope's variables, newest first.

    \b
    Examples:
      drover var versions group:web
    """
    request = ListVersions(scope=scope_of(session.client, scope), limit=500)
    content = session.client.all_pages(list_variables_versions, request)
    found = typed(content, VariablesVersions).versions

    def table() -> None:
        rows(
            ("REVISION", "CHANGED", "BY", "WHY"),
            [(str(each.revision), when(each.changed_at), each.changed_by, each.why) for each in found],
        )

    emit(form, content, lambda: [str(each.revision) for each in found], table)


@var_group.command("diff")
@click.argument("scope")
@revision_option
@click.option("--against", type=click.IntRange(min=0), help="Default: the one before. 0 is nothing.")
@click.option("--keys", is_flag=True, help="Flattened keys instead of lines.")
@data_options
@pass_session
def diff(session: Session, /, scope: str, form: Form, **given: Any) -> None:
    """Compare two versions of a scope's variables.

    \b
    Examples:
      drover var diff group:web
      drover var diff group:web --revision 5 --against 2 --keys
    """
    request = DiffVersions(
        scope=scope_of(session.client, scope), revision=given["revision"] or 0, against=given["against"]
    )
    content, found = session.client.both(diff_variables, request)

    def table() -> None:
        if not given["keys"]:
            out(found.text, newline=False)
        elif found.changes:
            rows(("KEY", "BEFORE", "AFTER"), map(_change, found.changes))

    emit(form, content, lambda: [each.key for each in found.changes], table)


@var_group.command("effective")
@click.argument("hosts", nargs=-1, required=True, metavar="HOST...")
@task_option
@click.option("--key", "keys", multiple=True, help="Only this key and what lies below it; repeatable.")
@click.option("--flat", is_flag=True, help="One flattened key per line.")
@data_options
@pass_session
def effective(session: Session, /, hosts: tuple[str, ...], form: Form, flat: bool, **given: Any) -> None:
    """Print what the variables come to for hosts.

    \b
    Examples:
      drover var effective web1
      drover var effective web1 web2 --key region --flat
      echo 'region: {id: 9}' | drover var effective web1 --task -
    """
    content = _effective(
        session.client, hosts, AskEffective(hosts=("-",), task=given["task"] or "", keys=given["keys"])
    )
    found = typed(content, EffectiveOfHosts).hosts

    def table() -> None:
        for each in found:
            if len(found) > 1:
                out(f"# {each.host}")
            _print(each.text, each.flat, flat)

    emit(form, content, lambda: [each.host for each in found], table)


@var_group.command("explain")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option("--host", "hosts", multiple=True, required=True, help="For this host; repeatable.")
@task_option
@data_options
@pass_session
def explain(session: Session, /, keys: tuple[str, ...], hosts: tuple[str, ...], task: str | None, form: Form) -> None:
    """Say where effective values come from, and what they hide.

    \b
    Examples:
      drover var explain region.mongodb.hosts --host web1
      drover var explain region --host web1 --host web2
    """
    content = _effective(session.client, hosts, AskEffective(hosts=("-",), task=task or "", keys=keys, explain=True))
    found = typed(content, EffectiveOfHosts).hosts
    emit(form, content, lambda: [each.host for each in found], lambda: _explained(found))
    known = {key for each in found for key in each.explained}
    unknown = [key for key in keys if not any(each == key or each.startswith(f"{key}.") for each in known)]
    if unknown:
        raise Refused(
            f"{'none of the hosts has' if len(found) > 1 else 'the host does not have'} {', '.join(unknown)}",
            "`drover var effective HOST --flat` shows what it has.",
        )


@var_group.command("blast")
@click.argument("scope")
@click.argument("text", metavar="FILE", type=Content())
@click.option("--limit", type=click.IntRange(0, 100), default=20, show_default=True, help="So many are listed.")
@data_options
@pass_session
def blast(session: Session, scope: str, text: str, limit: int, form: Form) -> None:
    """Say which hosts and templates would change if a scope's variables were what FILE says. Nothing is set.

    \b
    Examples:
      drover var blast group:web web.yaml
      drover var blast global global.yaml -o name
    """
    request = PreviewVariables(scope=scope_of(session.client, scope), text=text, limit=limit)
    content, found = session.client.both(preview_variables, request)
    emit(form, content, lambda: [each.host for each in found.hosts], lambda: _blast(found, out))


def _effective(client: Client, hosts: Iterable[str], asked: AskEffective) -> dict[str, Any]:
    """The reply as if one message held all hosts."""
    rest = tuple(dict.fromkeys(identified(client, each) for each in hosts))
    whole: dict[str, Any] = {"hosts": [], "rest": []}
    while rest:
        now, later = rest[:100], rest[100:]
        content, page = client.both(effective_variables, msgspec.structs.replace(asked, hosts=now))
        whole["hosts"] += content["hosts"]
        rest = (*page.rest, *later)
    return whole


def _explained(hosts: Iterable[EffectiveVariables]) -> None:
    content = []
    for host in hosts:
        for key, each in host.explained.items():
            content.append((host.host, key, _value(each.value), _origin(each.origin), ""))
            content += [(host.host, hidden.key, "", "", _hidden(hidden)) for hidden in each.hid]
            if each.more:
                content.append((host.host, key, "", "", f"and {counted(each.more, 'more value')}"))
    rows(("HOST", "KEY", "VALUE", "FROM", "HIDES"), content)


def _hidden(hidden: Hidden) -> str:
    return f"{_value(hidden.value)} of {_origin(hidden.origin)}"


def _origin(origin: ValueOrigin) -> str:
    return f"{origin.scope} revision {origin.revision}" if origin.scope else origin.kind


def _blast(found: BlastRadius, say: Any) -> None:
    for each in found.changes:
        say("  ".join(_change(each)))
    say(f"{found.hosts_changed} of {counted(found.examined, 'host')} change")
    if found.members > found.examined:
        say(f"{counted(found.members - found.examined, 'more host')} not looked at")
    for host in found.hosts:
        say(f"  {host.hostname or host.host}: {', '.join(change.key for change in host.changes)}")
    say(f"{counted(found.templates_changed, 'template')} that read them")
    for template in found.templates:
        say(f"  {template.name}: {', '.join(template.keys)}")
    for warned in found.warnings:
        talk(f"line {warned.line}, column {warned.column}: {warned.message}")


def _change(change: KeyChange) -> tuple[str, str, str]:
    before = "" if change.before is UNSET else _value(change.before)
    after = "" if change.after is UNSET else _value(change.after)
    return change.key, before or "(nothing)", after or "(nothing)"


def _print(text: str, values: dict[str, Any], flat: bool) -> None:
    if not flat:
        out(text, newline=bool(text) and not text.endswith("\n"))
        return
    for key, value in values.items():
        out(f"{key}: {_value(value)}")


def _value(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _tell(found: Variables) -> None:
    for warned in found.warnings:
        talk(f"line {warned.line}, column {warned.column}: {warned.message}")
