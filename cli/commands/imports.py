"""Importing hosts from a file."""

import sys
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from cli.client import Client, typed
from cli.commands.host_changes import changes
from cli.display import Form, emit, rows, talk, when
from cli.exits import Exit, Refused
from cli.scripts import pairs
from cli.session import Session, data_options, pass_session
from cli.words import Word
from contracts.imports import (
    PIECE_CHARACTERS,
    AddPiece,
    BeginImport,
    Format,
    Import,
    ImportRef,
    Imports,
    ImportState,
    Key,
    ListImports,
    ListRows,
    OnChanged,
    OnNew,
    OnVanished,
    RowOutcome,
    Rows,
    Rules,
    add_piece,
    apply_import,
    begin_import,
    list_imports,
    list_rows,
    plan_import,
    show_import,
)
from contracts.kinds import Call

LOOK_EVERY_S = 0.5
UNDER_WAY = frozenset({ImportState.FETCHING, ImportState.PLANNING, ImportState.APPLYING})
SHOWN = 200
"""Rows of a table; -o json has all of them."""


def rules_options(command: Any) -> Any:
    for option in (
        click.option("--make-places", is_flag=True, help="Make businesses, racks and so on that do not exist."),
        click.option(
            "--most-vanished",
            type=click.IntRange(0, 100),
            default=20,
            show_default=True,
            metavar="PERCENT",
            help="If more of the source's hosts vanish, nothing is changed.",
        ),
        click.option(
            "--vanished",
            type=Word(OnVanished),
            default=OnVanished.IGNORE.value,
            show_default=True,
            help="Hosts that the source had and has no more.",
        ),
        click.option(
            "--changed",
            type=Word(OnChanged),
            default=OnChanged.UPDATE.value,
            show_default=True,
            help="Hosts that are known and differ.",
        ),
        click.option(
            "--new",
            type=Word(OnNew),
            default=OnNew.CREATE.value,
            show_default=True,
            help="Hosts that nobody knows yet.",
        ),
        click.option("--match", multiple=True, type=Word(Key), help="What a host is known by; repeatable, in order."),
        click.option("--default", "defaults", multiple=True, metavar="FIELD=VALUE", help="Where a row says nothing."),
        click.option("--column", multiple=True, metavar="COLUMN=FIELD", help="A column of another name."),
    ):
        command = option(command)
    return command


def rules_of(source: str, given: dict[str, Any]) -> Rules:
    columns = dict(word.rpartition("=")[::2] for word in given["column"])
    wanted = {
        "source": source,
        "new": given["new"],
        "changed": given["changed"],
        "vanished": given["vanished"],
        "most_vanished_percent": given["most_vanished"],
        "columns": columns,
        "defaults": pairs(given["defaults"], "--default"),
        "make_places": given["make_places"],
    }
    try:
        return msgspec.convert(wanted | ({"match_by": given["match"]} if given["match"] else {}), Rules)
    except msgspec.ValidationError as error:
        raise click.UsageError(f"--column, --default or --source: {error}") from None


@click.group("import")
def import_group() -> None:
    """Bring hosts in from a file."""


@import_group.command("file")
@click.argument("file")
@click.option("--apply", "applies", is_flag=True, help="Make it so; left out, only the difference is shown.")
@click.option("--format", "form_of_text", type=Word(Format), help="Left out: by the file's name, else csv.")
@click.option("--source", default="upload", show_default=True, help="Whose word it is; vanished hosts are told by it.")
@rules_options
@data_options
@pass_session
def import_file(session: Session, /, form: Form, **given: Any) -> None:
    """Compare a CSV, JSON or YAML file with the hosts that are known, and apply it if asked. - is stdin.

    The exit status is 1 if rows were rejected or are in conflict.

    \b
    Examples:
      drover import file hosts.csv
      drover import file hosts.csv --apply --make-places --source cmdb --vanished faulty
      drover import file export.json --column data.fqdn=hostname --column Junk= --default idc=js
    """
    text = text_of(given["file"])
    begun = BeginImport(
        format=given["form_of_text"] or _format(given["file"]),
        rules=rules_of(given["source"], given),
        text=text[:PIECE_CHARACTERS],
    )
    made = session.client.call(begin_import, begun)
    for number, start in enumerate(range(PIECE_CHARACTERS, len(text), PIECE_CHARACTERS), start=1):
        piece = AddPiece(id=made.id, number=number, text=text[start : start + PIECE_CHARACTERS])
        session.client.call(add_piece, piece)
    finish(session.client, apply_import if given["applies"] else plan_import, made.id, form)


@import_group.command("apply")
@click.argument("id_", metavar="ID")
@data_options
@pass_session
def apply_(session: Session, id_: str, form: Form) -> None:
    """Apply an import that was planned.

    \b
    Examples:
      drover import apply i018f3c2a7b1d6da7c82b
    """
    finish(session.client, apply_import, id_, form)


@import_group.command("list")
@click.option("--source", default="", help="Only imports of this source.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@data_options
@pass_session
def list_(session: Session, source: str, limit: int, form: Form) -> None:
    """List imports, the newest first.

    \b
    Examples:
      drover import list --source cmdb
    """
    content = session.client.all_pages(list_imports, ListImports(source=source, limit=min(limit, 1000)), limit)
    found = typed(content, Imports).imports

    def table() -> None:
        rows(
            ("ID", "SOURCE", "STATE", "BY", "BEGUN", "WHAT"),
            [(i.id, i.rules.source, i.state, i.by, when(i.created_at), _counted(i)) for i in found],
        )

    emit(form, content, lambda: [each.id for each in found], table)


@import_group.command("show")
@click.argument("id_", metavar="ID")
@click.option("--outcome", multiple=True, type=Word(RowOutcome), help="Only rows with this outcome; repeatable.")
@data_options
@pass_session
def show(session: Session, id_: str, outcome: tuple[RowOutcome, ...], form: Form) -> None:
    """Show what became of an import and of its rows.

    \b
    Examples:
      drover import show i018f3c2a7b1d6da7c82b --outcome rejected --outcome conflict
    """
    _show(session.client, session.client.call(show_import, ImportRef(id=id_)), outcome, form)


def finish(client: Client, call: Call[ImportRef, Import], name: str, form: Form) -> None:
    found = client.call(call, ImportRef(id=name))
    while found.state in UNDER_WAY:
        time.sleep(LOOK_EVERY_S)
        found = client.call(show_import, ImportRef(id=name))
    _show(client, found, (), form)
    if found.state is ImportState.FAILED:
        raise Refused(found.message, "", found.reason)
    if found.counts.rejected or found.counts.conflict:
        raise click.exceptions.Exit(Exit.FAILED_HOSTS)


def _show(client: Client, found: Import, outcomes: tuple[RowOutcome, ...], form: Form) -> None:
    most = SHOWN if form is Form.TABLE else None
    content = client.all_pages(list_rows, ListRows(id=found.id, outcomes=outcomes, limit=1000), most)
    told = typed(content, Rows).rows

    def table() -> None:
        if told:
            rows(
                ("LINE", "OUTCOME", "HOST", "NAME", "WHAT"),
                [(str(r.line or ""), r.outcome, r.host, r.name, r.message or changes(r.changes)) for r in told],
            )

    emit(form, {"import": msgspec.to_builtins(found), **content}, lambda: [row.host for row in told if row.done], table)
    talk(f"import {found.id} {found.state}: {_counted(found)}")


def _counted(found: Import) -> str:
    counts = msgspec.structs.asdict(found.counts)
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "nothing"


def text_of(file: str) -> str:
    try:
        return (sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()).decode("utf-8-sig")
    except OSError as error:
        raise click.UsageError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"{file} is not UTF-8 text") from None


def _format(file: str) -> Format:
    suffix = Path(file).suffix.lower()
    return {".json": Format.JSON, ".yaml": Format.YAML, ".yml": Format.YAML}.get(suffix, Format.CSV)
