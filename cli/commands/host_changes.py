"""Changing hosts, and looking at what became of them."""

from typing import Any

import click
from msgspec import UNSET

from cli.client import Client, checked, encoded, typed, word
from cli.commands.host import identified
from cli.display import Form, emit, out, rows, talk, when
from cli.exits import Exit
from cli.scripts import pairs
from cli.session import Session, context_option, data_options, pass_session
from cli.targets import targets
from cli.words import Version, Word
from contracts.edits import (
    BulkEdit,
    Change,
    EditOutcome,
    HostEdits,
    HostHistory,
    ListHistory,
    edit_hosts,
    host_history,
    host_origins,
)
from contracts.hosts import HostFilter, HostRef, HostState, ListHosts
from contracts.inits import AfterInit, InitHosts, init_hosts
from contracts.kinds import get
from contracts.runs import Parameter, StartRun, StoredScript, start
from contracts.topology import AttributeType, DeclaredAttributes, ListAttributes, list_attributes

EXPORT = get("/hosts.csv")
PREPARED = tuple(each for each in HostState if each is not HostState.DEPLOYING)
"""No script that prepares a host runs in these states."""


@click.command("change")
@click.argument("hosts", nargs=-1, required=True)
@click.option("--state", type=Word(HostState), help="The state to move to.")
@click.option("--business", help="With --line, since the line belongs to it.")
@click.option("--line", help="The product line, such as mobile/chess; empty for none.")
@click.option("--room", help="The room of its IDC that it stands in.")
@click.option("--rack", help="The rack that it stands in.")
@click.option("--set", "host_set", help="The set it belongs to.")
@click.option("--add-tag", multiple=True, help="Repeatable, as all that follow.")
@click.option("--remove-tag", multiple=True, help="Take this tag away; repeatable.")
@click.option("--label", multiple=True, metavar="NAME=VALUE", help="Set this label; repeatable.")
@click.option("--remove-label", multiple=True, help="Take this label away; repeatable.")
@click.option("--attribute", multiple=True, metavar="NAME=VALUE", help="Set a declared attribute; repeatable.")
@click.option("--remove-attribute", multiple=True, help="Take this attribute away; repeatable.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@data_options
@pass_session
def change(session: Session, /, form: Form, hosts: tuple[str, ...], **given: Any) -> None:
    """Change hosts, chosen as for -t: by name, IP or id, or by idc=, tag=, business=, where= and so on.

    What is refused for one host keeps no other from being changed; then the exit status is 1.

    \b
    Examples:
      drover host change web1 --state maintenance
      drover host change tag=web idc=js --add-tag blue --label tier=1 --dry-run
      drover host change @hosts.txt --business games --line mobile/chess --attribute slots=4
    """
    asked = targets(session.client, hosts, (), allow_unknown=False)
    if asked.all or asked.local:
        raise click.UsageError("name hosts or criteria; 'all' and 'local' are not changed at once")
    names = ("state", "business", "room", "rack", "host_set")
    request = BulkEdit(
        filter=HostFilter(**{name: getattr(asked, name) for name in HostFilter.__struct_fields__}),
        dry_run=given["dry_run"],
        **{name: given[name] for name in names if given[name] is not None},
        product_line=UNSET if given["line"] is None else given["line"],
        add_tags=given["add_tag"],
        remove_tags=given["remove_tag"],
        set_labels=pairs(given["label"], "--label"),
        remove_labels=given["remove_label"],
        set_attributes=_attributes(session.client, given["attribute"]),
        remove_attributes=given["remove_attribute"],
    )
    content = session.client.all_pages(edit_hosts, request)
    found = typed(content, HostEdits).hosts

    def table() -> None:
        told = [(e.host, e.hostname, e.outcome, e.message or changes(e.changes)) for e in found]
        rows(("ID", "HOSTNAME", "OUTCOME", "WHAT"), told)

    emit(form, content, lambda: [each.host for each in found if each.outcome is EditOutcome.CHANGED], table)
    refused = sum(each.outcome is EditOutcome.REFUSED for each in found)
    changed = sum(each.outcome is EditOutcome.CHANGED for each in found)
    would = "would change" if given["dry_run"] else "changed"
    talk(f"{changed} of {len(found)} hosts {would}" + (f", {refused} refused" if refused else ""))
    if refused:
        raise click.exceptions.Exit(Exit.FAILED_HOSTS)


def _attributes(client: Client, words: tuple[str, ...]) -> dict[str, str | int | bool]:
    """Values of the declared types; what is not declared goes as text, and the server says so."""
    given = pairs(words, "--attribute")
    if not given:
        return {}
    declared = typed(client.all_pages(list_attributes, ListAttributes(limit=1000)), DeclaredAttributes).attributes
    types = {each.name: each.type for each in declared}
    return {name: _value(types.get(name), text) for name, text in given.items()}


def _value(kind: AttributeType | None, text: str) -> str | int | bool:
    if kind is AttributeType.BOOLEAN and text in {"true", "false"}:
        return text == "true"
    if kind is AttributeType.INTEGER and text.removeprefix("-").isdecimal() and len(text) <= 20:
        return int(text)
    return text


def changes(found: list[Change]) -> str:
    """One line that says what became what."""
    return "; ".join(f"{each.field}: {_said(each.before)} → {_said(each.after)}" for each in found)


def _said(value: Any) -> str:
    if value is None:
        return "nothing"
    return ",".join(value) if isinstance(value, list) else word(value)


@click.command("init")
@click.argument("hosts", nargs=-1, required=True)
@click.option("--script", required=True, type=Version(), help="The stored script that prepares them: NAME[@VERSION].")
@click.option(
    "--then",
    type=Word(AfterInit),
    default=AfterInit.STANDBY.value,
    show_default=True,
    help="Where hosts go on success.",
)
@click.option("--param", multiple=True, metavar="NAME=VALUE", help="A parameter of the script; repeatable.")
@click.option("--account", help="The account that it runs as.")
@data_options
@pass_session
def init(session: Session, /, form: Form, hosts: tuple[str, ...], **given: Any) -> None:
    """Run a stored script on those of the hosts that are in deploying; where it succeeds, they move on.

    \b
    Examples:
      drover host init state=deploying idc=js --script host-init --then in_service
    """
    asked = targets(session.client, hosts, (f"state={','.join(PREPARED)}",), allow_unknown=False)
    name, version = given["script"]
    parameters = tuple(Parameter(name=key, value=value) for key, value in pairs(given["param"], "--param").items())
    wanted = StartRun(
        stored=StoredScript(name=name, version=version),
        targets=asked,
        name=f"init {name}",
        parameters=parameters,
        account=given["account"],
    )
    run = session.client.call(start, wanted)
    request = InitHosts(run=run.id, then=AfterInit(given["then"]))
    content, made = session.client.both(init_hosts, request)
    emit(form, content, lambda: [made.run], lambda: out(f"run {made.run}: {made.hosts} hosts move to {made.then}"))
    talk(f"watch it: drover run watch {made.run}")


@click.command("history")
@click.argument("host")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
@data_options
@pass_session
def history(session: Session, host: str, limit: int, form: Form) -> None:
    """Every change of a host, the newest first: who, when, what.

    \b
    Examples:
      drover host history web1
      drover host history h-4f1c09aa23de -o json
    """
    asked = ListHistory(host=identified(session.client, host), limit=min(limit, 1000))
    content = session.client.all_pages(host_history, asked, limit)
    found = typed(content, HostHistory).events

    def table() -> None:
        rows(
            ("WHEN", "BY", "FROM", "REVISION", "WHAT"),
            [
                (
                    when(e.origin.at),
                    e.by,
                    f"{e.origin.kind} {e.origin.name}",
                    str(e.revision),
                    e.note or changes(e.changes),
                )
                for e in found
            ],
        )

    emit(form, content, lambda: [each.id for each in found], table)


@click.command("origins")
@click.argument("host")
@data_options
@pass_session
def origins(session: Session, host: str, form: Form) -> None:
    """Where each value of a host comes from.

    \b
    Examples:
      drover host origins web1
    """
    content, found = session.client.both(host_origins, HostRef(host=identified(session.client, host)))

    def table() -> None:
        rows(
            ("FIELD", "VALUE", "FROM", "SINCE"),
            [
                (each.field, _said(each.value), f"{each.origin.kind} {each.origin.name}", when(each.origin.at))
                for each in found.fields
            ],
        )

    emit(form, content, lambda: [each.field for each in found.fields], table)


@click.command("export")
@click.option("--idc", multiple=True, help="Only hosts of this IDC; repeatable.")
@click.option("--tag", multiple=True, help="Only hosts with this tag; of several, any one will do.")
@click.option("--business", multiple=True, help="Only hosts of this business; repeatable.")
@click.option("--where", default="", help="Only hosts that fit this expression.")
@context_option
@pass_session
def export(session: Session, idc: tuple[str, ...], tag: tuple[str, ...], business: tuple[str, ...], where: str) -> None:
    """Print hosts as CSV, in the columns that an import takes.

    \b
    Examples:
      drover host export > hosts.csv
      drover host export --idc js --tag web
    """
    path, _ = encoded(EXPORT, ListHosts(idcs=idc, tags=tag, businesses=business, where=where))
    answer = session.client.connection.exchange("GET", path, repeatable=True)
    body = answer.body if answer.status < 300 else checked(answer)
    out(body.decode().replace("\r\n", "\n"), newline=False)


HOST_COMMANDS = (change, init, history, origins, export)
"""Of the group `host`."""
