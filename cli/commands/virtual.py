"""Virtual machines and database instances of hosts."""

import sys
from typing import Any

import click

from cli.client import Client, typed, word
from cli.commands.host import identified
from cli.display import Form, emit, rows, talk, when
from cli.exits import Exit
from cli.session import Session, data_options, pass_session
from cli.targets import host_ids
from cli.words import Word
from contracts.runs import HostResults, ListHostResults, ReadOutput, list_host_results, read_output
from contracts.states import Outcome
from contracts.virtual import (
    ListVirtual,
    ReportTaken,
    ReportVirtual,
    VirtualKind,
    VirtualResources,
    list_virtual,
    report_virtual,
)


@click.group("virtual")
def virtual_group() -> None:
    """Virtual machines and database instances, as collectors find them."""


@virtual_group.command("list")
@click.option("--host", "hosts", multiple=True, help="Only of this host; repeatable.")
@click.option("--kind", multiple=True, type=Word(VirtualKind), help="Only this kind; repeatable.")
@click.option("--search", default="", help="Only those whose name begins with this.")
@click.option("--stale/--current", default=None, help="Only those that reports miss, or only those they name.")
@data_options
@pass_session
def list_(session: Session, /, form: Form, **given: Any) -> None:
    """List virtual resources, all of them.

    \b
    Examples:
      drover virtual list --kind database --search mysql
      drover virtual list --host web1 --stale
    """
    hosts = host_ids(session.client, given["hosts"]) if given["hosts"] else ()
    request = ListVirtual(hosts=hosts, kinds=given["kind"], search=given["search"], stale=given["stale"], limit=1000)
    content = session.client.all_pages(list_virtual, request)
    found = typed(content, VirtualResources).resources

    def table() -> None:
        rows(
            ("KIND", "NAME", "HOST", "COLLECTOR", "LAST SEEN", "STALE", "KNOWN"),
            [
                (
                    v.kind,
                    v.name,
                    v.host,
                    v.collector,
                    when(v.last_seen),
                    "stale" if v.stale else "",
                    " ".join(f"{name}={word(value)}" for name, value in v.known.items()),
                )
                for v in found
            ],
        )

    emit(form, content, lambda: [each.name for each in found], table)


@virtual_group.command("report")
@click.argument("collector")
@click.option("--run", help="Take the output of this run, of each host on which it succeeded.")
@click.option("--host", help="Take stdin as the report of this host.")
@data_options
@pass_session
def report(session: Session, collector: str, run: str | None, host: str | None, form: Form) -> None:
    """Take what a collector found: the output of a run, or stdin for one host. Prints hosts with lines it cannot read.

    \b
    Examples:
      drover x -f collectors/databases.py -t idc=js && drover virtual report by-hand --run 018f3c2a7b1d6da7
      ssh nas1 ./collector | drover virtual report nas --host nas1
    """
    if bool(run) == bool(host):
        raise click.UsageError("give either --run or --host")
    if run:
        reports = {name: _output(session.client, run, name) for name in _succeeded(session.client, run)}
    else:
        reports = {identified(session.client, host or ""): sys.stdin.read()}
    taken: dict[str, ReportTaken] = {}
    for name, lines in reports.items():
        taken[name] = session.client.call(report_virtual, ReportVirtual(host=name, collector=collector, lines=lines))

    def table() -> None:
        rows(
            ("HOST", "NEW", "CHANGED", "UNCHANGED", "MISSED", "STALE", "REJECTED"),
            [
                (name, *map(str, (t.new, t.changed, t.unchanged, t.missed, t.stale, len(t.rejected))))
                for name, t in taken.items()
            ],
        )

    emit(form, taken, lambda: list(taken), table)
    bad = [name for name, each in taken.items() if each.rejected]
    if bad:
        talk(f"{len(bad)} hosts reported lines that are no resources: {', '.join(bad[:10])}")
        raise click.exceptions.Exit(Exit.FAILED_HOSTS)


def _succeeded(client: Client, run: str) -> list[str]:
    asked = ListHostResults(run=run, outcomes=(Outcome.SUCCEEDED,), limit=1000)
    return [each.host for each in typed(client.all_pages(list_host_results, asked), HostResults).hosts]


def _output(client: Client, run: str, host: str) -> str:
    """Whole, however long."""
    text, piece = "", client.call(read_output, ReadOutput(run=run, host=host))
    while piece.text:
        text += piece.text
        if piece.next_offset >= piece.stored_bytes:
            break
        piece = client.call(read_output, ReadOutput(run=run, host=host, offset=piece.next_offset))
    return text
