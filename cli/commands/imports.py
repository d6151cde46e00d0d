"""Importing hosts from a file, and sources that are asked over HTTP."""

import sys
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from cli.client import Client, typed
from cli.commands.host_changes import changes
from cli.display import Form, emit, facts, rows, talk, when
from cli.durations import Duration
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
    ListSources,
    OnChanged,
    OnNew,
    OnVanished,
    Paging,
    PutSource,
    RowOutcome,
    Rows,
    Rules,
    RunSource,
    Source,
    SourceAuth,
    SourceMapping,
    SourceRef,
    Sources,
    add_piece,
    apply_import,
    begin_import,
    list_imports,
    list_rows,
    list_sources,
    plan_import,
    put_source,
    run_source,
    show_import,
    show_source,
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
    text = _text(given["file"])
    begun = BeginImport(
        format=given["form_of_text"] or _format(given["file"]),
        rules=rules_of(given["source"], given),
        text=text[:PIECE_CHARACTERS],
    )
    made = session.client.call(begin_import, begun)
    for number, start in enumerate(range(PIECE_CHARACTERS, len(text), PIECE_CHARACTERS), start=1):
        piece = AddPiece(id=made.id, number=number, text=text[start : start + PIECE_CHARACTERS])
        session.client.call(add_piece, piece)
    _finish(session.client, apply_import if given["applies"] else plan_import, made.id, form)


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
    _finish(session.client, apply_import, id_, form)


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


def _finish(client: Client, call: Call[ImportRef, Import], name: str, form: Form) -> None:
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


def _text(file: str) -> str:
    try:
        return (sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()).decode("utf-8-sig")
    except OSError as error:
        raise click.UsageError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"{file} is not UTF-8 text") from None


def _format(file: str) -> Format:
    suffix = Path(file).suffix.lower()
    return {".json": Format.JSON, ".yaml": Format.YAML, ".yml": Format.YAML}.get(suffix, Format.CSV)


@click.group("source")
def source_group() -> None:
    """Where hosts are kept elsewhere, such as a CMDB that answers over HTTP."""


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
@rules_options
@data_options
@pass_session
def put(session: Session, /, form: Form, **given: Any) -> None:
    """Define a source, or define it anew. --column takes paths into a row: --column net.ip=ips.

    \b
    Examples:
      drover source put cmdb https://cmdb.example/hosts --rows data.items --paging page --column fqdn=hostname
      drover source put cmdb https://cmdb.example/hosts --auth bearer --secret-file token --every 1h --vanished faulty
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
        rules=rules_of(given["name"], given),
        secret=_text(given["secret_file"]).strip() if given["secret_file"] else None,
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
            ("NAME", "URL", "EVERY", "NEXT", "LAST IMPORT"),
            [(s.name, s.mapping.url, f"{s.every_s} s", when(s.next_at), s.last_import) for s in found],
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
    """Ask a source now, and wait until its hosts are imported.

    \b
    Examples:
      drover source run cmdb --dry-run
    """
    begun = session.client.call(run_source, RunSource(name=name, dry_run=dry_run))
    talk(f"import {begun.id} begun")
    _finish(session.client, show_import, begun.id, form)


def _source(found: Source) -> None:
    facts(
        [
            ("name", found.name),
            ("url", found.mapping.url),
            ("auth", found.mapping.auth),
            ("secret", "kept" if found.has_secret else ""),
            ("rows", found.mapping.rows),
            ("paging", found.mapping.paging),
            ("columns", "\n".join(f"{column} → {name or 'nothing'}" for column, name in found.rules.columns.items())),
            ("every", f"{found.every_s} s" if found.every_s else ""),
            ("next", when(found.next_at)),
            ("last import", found.last_import),
            ("changed", f"{when(found.changed_at)} by {found.changed_by}"),
            ("revision", str(found.revision)),
        ]
    )
