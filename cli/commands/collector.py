"""Collectors: stored scripts that are run by themselves and find the virtual resources of hosts."""

import time
from typing import Any

import click

from cli.client import typed
from cli.display import Form, emit, facts, rows, talk, when
from cli.durations import Duration
from cli.exits import Exit, Refused
from cli.session import Session, data_options, pass_session
from cli.targets import targets
from cli.words import Version, Word
from contracts.accounts import AGENT
from contracts.collectors import (
    Collection,
    CollectionRef,
    Collections,
    CollectionState,
    Collector,
    CollectorRef,
    Collectors,
    DeleteCollector,
    ListCollections,
    ListCollectors,
    Program,
    PutCollector,
    delete_collector,
    list_collections,
    list_collectors,
    put_collector,
    run_collector,
    show_collection,
    show_collector,
)
from contracts.runs import StoredScript
from contracts.virtual import VirtualKind

LOOK_EVERY_S = 0.5
SHIPPED = ("databases", "virsh")
"""Stored as scripts by Drover itself, under these names with `collect-` before them."""


@click.group("collector")
def collector_group() -> None:
    """Scripts that are run by themselves and find virtual machines and database instances."""


@collector_group.command("put")
@click.argument("name")
@click.option("--shipped", type=click.Choice(SHIPPED), help="One that comes with Drover.")
@click.option(
    "--script",
    type=Version(),
    metavar="NAME[@VERSION]",
    help="A stored script with the tag collector, the version that is online then if none is named.",
)
@click.option(
    "-t",
    "--target",
    multiple=True,
    required=True,
    metavar="WHAT",
    help="Where it runs, written as for drover x. local: on the management host, and its lines name their hosts.",
)
@click.option("-x", "--exclude", multiple=True, metavar="WHAT", help="Not there; written like -t.")
@click.option("--account", default=AGENT, show_default=True, help="As whom it runs, see drover account list.")
@click.option("--kind", "kinds", multiple=True, type=Word(VirtualKind), help="It tells of this kind only; repeatable.")
@click.option("--timeout-script", type=Duration("1s", "1h"), default="5m", show_default=True, help="For each host.")
@click.option("--every", type=Duration("60s", "31d"), help="Run it again and again; left out: on demand only.")
@click.option("--disabled", is_flag=True, help="Keep it, and do not run it by itself.")
@click.option("--revision", type=int, help="Only if nobody changed it since this one.")
@data_options
@pass_session
def put(session: Session, /, form: Form, **given: Any) -> None:
    """Define a collector, or define it anew.

    \b
    Examples:
      drover collector put databases --shipped databases -t idc=js --every 1h
      drover collector put dba --script ask-the-dba-database -t local --account dba --kind database --every 1d
    """
    if bool(given["shipped"]) == bool(given["script"]):
        raise click.UsageError("give either --shipped or --script")
    name, version = given["script"] or (f"collect-{given['shipped']}", 0)
    program = Program(
        script=StoredScript(name=name, version=version),
        targets=targets(session.client, given["target"], given["exclude"], allow_unknown=False),
        account=given["account"],
        kinds=given["kinds"],
        timeout_s=given["timeout_script"],
    )
    request = PutCollector(
        name=given["name"],
        program=program,
        every_s=given["every"] or 0,
        enabled=not given["disabled"],
        revision=given["revision"],
    )
    content, made = session.client.both(put_collector, request)
    emit(form, content, lambda: [made.name], lambda: _collector(made))


@collector_group.command("list")
@data_options
@pass_session
def list_(session: Session, form: Form) -> None:
    """List collectors, all of them.

    \b
    Examples:
      drover collector list
    """
    content = session.client.all_pages(list_collectors, ListCollectors(limit=1000))
    found = typed(content, Collectors).collectors

    def table() -> None:
        rows(
            ("NAME", "SCRIPT", "ACCOUNT", "EVERY", "NEXT", "LAST", "WHAT"),
            [
                (c.name, _script(c.program), c.program.account, _every(c), when(c.next_at), *_last(c.last))
                for c in found
            ],
        )

    emit(form, content, lambda: [each.name for each in found], table)


@collector_group.command("show")
@click.argument("name")
@data_options
@pass_session
def show(session: Session, name: str, form: Form) -> None:
    """Show a collector, and what its newest run came to.

    \b
    Examples:
      drover collector show databases
    """
    content, found = session.client.both(show_collector, CollectorRef(name=name))
    emit(form, content, lambda: [found.name], lambda: _collector(found))


@collector_group.command("delete")
@click.argument("name")
@click.option("--revision", type=int, help="Only if nobody changed it since this one.")
@data_options
@pass_session
def delete(session: Session, name: str, revision: int | None, form: Form) -> None:
    """Delete a collector. What it found is stale from now on.

    \b
    Examples:
      drover collector delete databases
    """
    content, found = session.client.both(delete_collector, DeleteCollector(name=name, revision=revision))
    emit(form, content, lambda: [found.name], lambda: _collector(found))


@collector_group.command("run")
@click.argument("name")
@click.option("--detach", is_flag=True, help="Do not wait for its end.")
@data_options
@pass_session
def run(session: Session, name: str, detach: bool, form: Form) -> None:
    """Run a collector now, and show what it found. The exit status is 1 if something was refused.

    \b
    Examples:
      drover collector run databases
      drover collector run databases --detach -o name
    """
    content, found = session.client.both(run_collector, CollectorRef(name=name))
    while not detach and found.ended_at is None:
        time.sleep(LOOK_EVERY_S)
        content, found = session.client.both(show_collection, CollectionRef(id=found.id))
    emit(form, content, lambda: [found.id], lambda: _collection(found))
    if found.state is CollectionState.FAILED:
        raise Refused(found.message, "", found.reason)
    if found.refused:
        raise click.exceptions.Exit(Exit.FAILED_HOSTS)


@collector_group.command("runs")
@click.argument("name")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="At most so many.")
@data_options
@pass_session
def runs(session: Session, name: str, limit: int, form: Form) -> None:
    """List the runs of a collector, the newest first.

    \b
    Examples:
      drover collector runs databases --limit 5
    """
    content = session.client.all_pages(list_collections, ListCollections(name=name, limit=min(limit, 1000)), limit)
    found = typed(content, Collections).collections

    def table() -> None:
        rows(
            ("ID", "BEGUN", "BY", "RUN", "STATE", "WHAT"),
            [(c.id, when(c.created_at), c.by, c.run, c.state, _came_to(c)) for c in found],
        )

    emit(form, content, lambda: [each.id for each in found], table)


def _collector(found: Collector) -> None:
    program = found.program
    facts(
        [
            ("name", found.name),
            ("script", _script(program)),
            ("account", program.account),
            ("runs on", "the management host" if program.targets.local else "hosts, for themselves"),
            ("kinds", ", ".join(program.kinds)),
            ("every", _every(found)),
            ("enabled", "" if found.enabled else "no"),
            ("next", when(found.next_at)),
            ("changed", f"{when(found.changed_at)} by {found.changed_by}"),
            ("revision", str(found.revision)),
        ]
    )
    if found.last:
        talk("its newest run:")
        _collection(found.last)


def _collection(found: Collection) -> None:
    facts(
        [
            ("id", found.id),
            ("run", found.run),
            ("state", found.state),
            ("begun", f"{when(found.created_at)} by {found.by}"),
            ("ended", when(found.ended_at)),
            ("what", _came_to(found)),
        ]
    )
    if found.refusals:
        rows(("HOST", "LINE", "WHY"), [(r.host, str(r.line or ""), r.message) for r in found.refusals])


def _script(program: Program) -> str:
    return f"{program.script.name}@{program.script.version}" if program.script.version else program.script.name


def _every(found: Collector) -> str:
    return f"{found.every_s} s" if found.every_s else ""


def _last(found: Collection | None) -> tuple[str, str]:
    return (when(found.created_at), _came_to(found)) if found else ("", "")


def _came_to(found: Collection) -> str:
    if found.message:
        return found.message
    names = ("hosts", "silent", "rows", "new", "changed", "unchanged", "missed", "stale", "refused")
    return ", ".join(f"{number} {name}" for name in names if (number := getattr(found, name)))
