"""What a report says, and what it makes of what was known. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from contracts.errors import Invalid
from contracts.virtual import STALE_AFTER, RejectedLine, Reported, ReportTaken, ReportVirtual, Virtual, VirtualKind

MOST = 2000
"""Resources in one report."""
_SHOWN = 100
_OWN = ("kind", "name")


def read(lines: str) -> tuple[dict[str, Reported], list[RejectedLine]]:
    """Key → what was reported, and the lines that cannot be read. Raises Invalid if there are too many."""
    found: dict[str, Reported] = {}
    rejected: list[RejectedLine] = []
    for number, line in enumerate(lines.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            reported = _reported(msgspec.json.decode(line))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError) as error:
            rejected.append(RejectedLine(line=number, message=str(error)[:200]))
            continue
        found[f"{reported.kind}:{reported.name}"] = reported
    if len(found) > MOST:
        raise Invalid("virtual.too_many", f"The report names {len(found)} resources; {MOST} is the most.")
    return found, rejected


def _reported(value: Any) -> Reported:
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    known = {name: each for name, each in value.items() if name not in _OWN and each is not None}
    plain = {name: str(each) if isinstance(each, dict | list) else each for name, each in known.items()}
    return msgspec.convert({"kind": value.get("kind"), "name": value.get("name"), "known": plain}, Reported)


class Outcome(msgspec.Struct, frozen=True):
    written: list[Virtual]
    """What is to be kept, of all that was reported or known."""
    taken: ReportTaken


def compared(
    request: ReportVirtual,
    reported: Mapping[str, Reported],
    rejected: Sequence[RejectedLine],
    known: Sequence[Virtual],
    at: datetime,
) -> Outcome:
    """`known` is what the same collector has found on the host so far."""
    before = {f"{each.kind}:{each.name}": each for each in known}
    written = [_seen(request, each, before.get(key), at) for key, each in reported.items()]
    missing = [] if rejected else [_missed(each) for key, each in before.items() if key not in reported]
    new = sum(key not in before for key in reported)
    changed = sum(key in before and before[key].known != each.known for key, each in reported.items())
    return Outcome(
        [*written, *missing],
        ReportTaken(
            new=new,
            changed=changed,
            unchanged=len(reported) - new - changed,
            missed=sum(not each.stale for each in missing),
            stale=sum(each.stale for each in missing),
            rejected=list(rejected[:_SHOWN]),
        ),
    )


def _seen(request: ReportVirtual, reported: Reported, before: Virtual | None, at: datetime) -> Virtual:
    return Virtual(
        id=f"{request.host}:{request.collector}:{reported.kind}:{reported.name}",
        host=request.host,
        kind=VirtualKind(reported.kind),
        name=reported.name,
        collector=request.collector,
        known=dict(reported.known),
        first_seen=before.first_seen if before else at,
        last_seen=at,
        missed=0,
        stale=False,
    )


def _missed(before: Virtual) -> Virtual:
    missed = before.missed + 1
    return msgspec.structs.replace(before, missed=missed, stale=missed >= STALE_AFTER)
