"""Reads what agents send and makes the documents of it. Pure.

Host and IDC come from the subject, which the broker has checked, never from the payload.
"""

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from contracts.agents import HEAD_BYTES, MAX_RESULT_BYTES, PIECE_BYTES, REPORT_N, FromAgent, OutputChunk, Report
from contracts.runs import HostOutcome
from services.jobs.paging import cut
from services.jobs.results.announcing import brief
from services.jobs.runs.model import run_of

Document = dict[str, Any]

REPORT, VERDICT = "report", "verdict"
_decoder = msgspec.json.Decoder(FromAgent)
_SHORT = 200
_LONG = 4096


class Unreadable(ValueError):
    """The message is not one that an agent may send; the text says why."""


class Origin(NamedTuple):
    idc: str
    host: str
    task: str


class Arrived(NamedTuple):
    origin: Origin
    item: Report | OutputChunk

    @property
    def n(self) -> int:
        return REPORT_N if isinstance(self.item, Report) else self.item.n


def read(subject: str, data: bytes) -> Arrived:
    """Read a message of `res.<idc>.<host>.<task>`. Raises Unreadable."""
    _, idc, host, task = subject.split(".")
    try:
        item: Report | OutputChunk = _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Unreadable(f"it cannot be decoded: {str(error)[:_SHORT]}") from error
    if item.task != task:
        raise Unreadable("it speaks of another task than its subject")
    _check_sizes(item)
    return Arrived(Origin(idc, host, task), item)


def _check_sizes(item: Report | OutputChunk) -> None:
    if isinstance(item, OutputChunk):
        if item.n < 1:
            raise Unreadable("output chunks count from 1")
        if len(item.text.encode()) > PIECE_BYTES:
            raise Unreadable("the output chunk is too large")
    elif len(item.head.encode()) > HEAD_BYTES or len(item.result.encode()) > MAX_RESULT_BYTES:
        raise Unreadable("head or result of the report is too large")


def outcome_id(task: str, host: str, kind: str) -> str:
    return f"{task}:{host}:{kind}"


def document(arrived: Arrived, now: datetime) -> Document:
    origin, item = arrived
    return outcome(origin, item, now) if isinstance(item, Report) else chunk(origin, item)


def report_id(origin: Origin) -> str:
    return outcome_id(origin.task, origin.host, REPORT)


def outcome(origin: Origin, report: Report, now: datetime) -> Document:
    document: Document = msgspec.to_builtins(report, builtin_types=(datetime,))
    del document["type"]
    document["_id"] = report_id(origin)
    document["run"] = run_of(origin.task)
    document["host"] = origin.host
    document["kind"] = REPORT
    document["stored_at"] = now
    document["reason"] = report.reason[:_SHORT]
    document["message"] = cut(report.message, _LONG)
    document["tag"] = report.tag[:_SHORT]
    document["boot_id"] = report.boot_id[:_SHORT]
    document["output_hash"] = report.output_hash[:_SHORT]
    return document


def verdict(task: str, host: str, said: tuple[str, str, str], now: datetime) -> Document:
    """`said`: outcome, reason, message."""
    outcome, reason, message = said
    return {
        "_id": outcome_id(task, host, VERDICT),
        "task": task,
        "host": host,
        "run": run_of(task),
        "kind": VERDICT,
        "outcome": str(outcome),
        "reason": reason[:_SHORT],
        "message": cut(message, _LONG),
        "ended_at": now,
        "stored_at": now,
    }


def chunk(origin: Origin, item: OutputChunk) -> Document:
    size = len(item.text.encode())
    return {
        # Eight digits, so that the ids sort as the pieces do.
        "_id": f"{origin.task}:{origin.host}:{item.n:08d}",
        "task": origin.task,
        "host": origin.host,
        "n": item.n,
        "offset": item.offset,
        "end": item.offset + size,
        "bytes": size,
        "text": item.text,
    }


def told(origin: Origin, report: Report, hostname: str, *, late: bool) -> HostOutcome:
    return HostOutcome(
        host=origin.host,
        hostname=hostname,
        task=origin.task,
        outcome=report.outcome,
        exit_code=report.exit_code,
        reason=report.reason[:_SHORT],
        message=brief(report.message),
        output_bytes=report.output_bytes,
        output_hash=report.output_hash[:_SHORT],
        late=late,
    )
