"""The audit trail: looking at it, taking it elsewhere, and finding out whether somebody changed it."""

import contextlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from cli import contexts
from cli.client import API, checked, typed
from cli.display import Form, emit, facts, rows, talk, when
from cli.durations import Duration
from cli.exits import Exit, Unreachable
from cli.session import Session, context_option, data_options, pass_session
from contracts.audit import (
    AuditEntries,
    AuditEntry,
    Checkpoint,
    ExportLine,
    ListAudit,
    ListCheckpoints,
    checkpoint_digest,
    list_audit,
    list_checkpoints,
)

if TYPE_CHECKING:
    from cli.verification import Verification

T = TypeVar("T")

SILENCE_S = 60.0
"""An export that sends nothing for so long is given up."""
END = b'{"end":'


class Moment(click.ParamType[datetime]):
    """A date, a date with a time (of this machine's zone unless it names one), or a span before now."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(str(value)).astimezone()
        try:
            return datetime.now(UTC) - timedelta(seconds=Duration().convert(value, param, ctx))
        except click.BadParameter:
            raise click.BadParameter(
                f"{value!r} is no moment: write 2026-11-25, 2026-11-25T14:00 or a span before now as 2h", ctx, param
            ) from None


@click.group("audit")
def audit_group() -> None:
    """Who changed or started what; and whether the record of it is whole."""


@audit_group.command("list")
@click.option("--who", default="", metavar="NAME", help="Only what this person, integration or service asked for.")
@click.option("--call", default="", metavar="SUBJECT", help="Only this call, such as jobs.runs.start.")
@click.option("--object", "object_", default="", metavar="NAME", help="Only what was about this, such as a host's id.")
@click.option("--trace", default="", metavar="ID", help="Only what followed from one request.")
@click.option("--outcome", default="", help="Only with this outcome: ok, a reason, or unknown.")
@click.option("--since", type=Moment(), help="Only after this: a date, a date with time, or a span before now as 2h.")
@click.option("--until", type=Moment(), help="Only before this.")
@click.option("--text", default="", help="Only with this text somewhere in it.")
@click.option("-n", "--number", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
@data_options
@pass_session
def list_(session: Session, /, form: Form, number: int, object_: str, **given: Any) -> None:
    """List what was asked for and how it ended, newest first.

    \b
    Examples:
      drover audit list --since 2h
      drover audit list --who alice --call jobs.runs.start -n 10
      drover audit list --outcome auth.forbidden -o json
    """
    request = ListAudit(object=object_, limit=min(number, 500), **given)
    content = session.client.all_pages(list_audit, request, number)
    found = typed(content, AuditEntries).entries

    def table() -> None:
        rows(
            ("AT", "WHO", "FROM", "CALL", "OBJECT", "OUTCOME"),
            [(when(e.at), e.who.name, e.who.address or e.who.via, e.call, e.object, _outcome(e)) for e in found],
        )

    emit(form, content, lambda: [each.id for each in found], table)


def _outcome(entry: AuditEntry) -> str:
    return f"{entry.outcome}, and {entry.more} more" if entry.more else entry.outcome


@audit_group.command("export")
@context_option
@pass_session
def export(session: Session) -> None:
    """Print the whole trail as JSON lines: the key, the checkpoints, the rows, and last how many there were.

    \b
    Examples:
      drover audit export > audit.jsonl
      drover audit export | gzip > audit-$(date +%F).jsonl.gz
      drover audit verify audit.jsonl
    """
    for line in _download(session):
        sys.stdout.buffer.write(line)


@audit_group.command("key")
@data_options
@pass_session
def key(session: Session, form: Form) -> None:
    """Show the public key that the server signs checkpoints with.

    \b
    Examples:
      drover audit key
      drover audit verify --key "$(drover audit key -o name)"
    """
    content, found = session.client.both(list_checkpoints, ListCheckpoints(limit=1))
    emit(form, content["keys"], lambda: list(found.keys.values()), lambda: facts(list(found.keys.items())))


@audit_group.command("verify")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", "keys", multiple=True, help="The public key that is trusted, in base64; repeatable.")
@click.option(
    "--second",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Checkpoints that were kept in a second place (GATEWAY_AUDIT_FILE).",
)
@data_options
@pass_session
def verify(session: Session, file: Path | None, keys: tuple[str, ...], second: Path | None, form: Form) -> None:
    """Recompute the whole trail here, from the server or from an export in FILE. Exit status 1 if anything is wrong.

    Rows that were changed, removed or cut off, rewritten chains, and checkpoints that were changed or removed are
    named. Without --key the key that this context saw first is trusted.

    \b
    Examples:
      drover audit verify
      drover audit verify audit.jsonl --key 'pE7…='
      drover audit verify --second /mnt/worm/checkpoints.jsonl -o json
    """
    from cli.verification import Known

    context = _context(session, needed=file is None)
    lines = _parsed(_download(session) if file is None else _lines(file), ExportLine)
    first = next(lines, ExportLine())
    trusted = _trusted(keys, context, first.keys or {})
    verification = _verification(trusted)
    for line in lines:
        verification.take(line)
    n, _, digest = context.audit_seen.partition(":")
    known = Known(int(n), digest) if n.isdigit() and file is None else None
    others = _parsed(_lines(second), Checkpoint) if second else ()
    result = verification.result(known, others, None if file else datetime.now(UTC))
    if result.sound and file is None and verification.newest is not None:
        seen = f"{verification.newest.n}:{checkpoint_digest(verification.newest)}"
        contexts.remember(contexts.path(), context, audit_key=next(iter(trusted.values())), audit_seen=seen)

    def table() -> None:
        if result.findings:
            rows(("WHAT", "WHERE", "WHY"), [(each.what, each.where, each.message) for each in result.findings])

    emit(form, msgspec.to_builtins(result), lambda: [each.where for each in result.findings], table)
    sys.stdout.flush()
    talk(
        f"{'sound' if result.sound else 'NOT SOUND'}: {result.rows} rows, {result.checkpoints} checkpoints,"
        f" {len(result.findings)} findings; {result.unsigned} rows are newer than the last checkpoint"
    )
    raise click.exceptions.Exit(Exit.SUCCEEDED if result.sound else Exit.FAILED_HOSTS)


def _context(session: Session, *, needed: bool) -> contexts.Context:
    """Of a file, only what is remembered counts: no server has to be known."""
    try:
        return session.context
    except click.ClickException:
        if needed:
            raise
        return contexts.Context(url="")


def _trusted(given: tuple[str, ...], context: contexts.Context, told: dict[str, str]) -> dict[str, str]:
    """Key id → public key."""
    from runtime.signing import key_id

    if given or context.audit_key:
        try:
            return {key_id(each): each for each in given or (context.audit_key,)}
        except ValueError:
            raise _no_key() from None
    for each in told.values():
        talk(f"drover: trusting the key {each}, which came with the trail itself; compare it with: drover audit key")
    return told


def _verification(trusted: dict[str, str]) -> "Verification":
    from cli.verification import Verification

    try:
        return Verification(trusted)
    except ValueError:
        raise _no_key() from None


def _no_key() -> click.UsageError:
    return click.UsageError("--key wants a public key in base64, as `drover audit key -o name` prints it")


def _download(session: Session) -> Iterator[bytes]:
    """The lines of the export. Raises Unreachable if it breaks off."""
    from cli.stream import Cut

    try:
        with session.client.connection.stream(f"{API}/audit/export", {}, SILENCE_S) as (answer, lines):
            checked(answer)
            while True:
                line = lines.next(SILENCE_S)
                yield line
                if line.startswith(END):
                    return
    except Cut as error:
        raise Unreachable(f"the export broke off: {error}", "drover doctor") from None


def _lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        yield from opened


def _parsed(lines: Iterator[bytes], kind: type[T]) -> Iterator[T]:
    for number, line in enumerate(lines, 1):
        try:
            yield msgspec.json.decode(line, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise click.UsageError(f"line {number} is none of an audit trail: {error}") from None
