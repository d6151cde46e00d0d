"""What lines and rows say of virtual resources, and what that makes of what was known. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from contracts.edits import Change
from contracts.errors import Conflict, Invalid, ServiceError
from contracts.imports import RowOutcome, VirtualRules
from contracts.virtual import STALE_AFTER, RejectedLine, Reported, Virtual, VirtualKind
from services.resources.hosts.model import EVERY_HOST_HAS, canonical_ip, is_ip
from services.resources.imports.reading import Raw, at

MOST = 2000
"""Resources that one report tells of one host."""
SHOWN = 100
"""Refusals that are told one by one."""
_OWN = ("kind", "name", "observed")
_HOST = "host"
_KNOWN = "known."
_UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeError, ValueError, OverflowError)


@dataclass(frozen=True)
class Record:
    """What a line or row says, and of which host, by id or IP."""

    line: int
    host: str
    reported: Reported

    @property
    def key(self) -> str:
        return f"{self.reported.kind}:{self.reported.name}"


class Placed(NamedTuple):
    record: Record
    host: str


class Difference(NamedTuple):
    outcome: RowOutcome
    before: Virtual | None
    after: Virtual


def read(
    lines: str, *, host: str, kinds: Collection[VirtualKind] = ()
) -> tuple[list[Record], list[tuple[int, ServiceError]]]:
    """What the lines say of this host, or, with none, of the hosts that they name; and the lines that cannot be taken.
    Those that are of none of these kinds, if any, are among them."""
    found: list[Record] = []
    refused: list[tuple[int, ServiceError]] = []
    for number, line in enumerate(lines.splitlines(), start=1):
        if line.strip():
            try:
                record = _of_line(number, msgspec.json.decode(line), host)
                _check_kind(record, kinds)
                found.append(record)
            except ServiceError as error:
                refused.append((number, error))
            except _UNREADABLE as error:
                refused.append((number, _bad(str(error))))
    return found, refused


def refuse_too_many(records: Sequence[Record]) -> None:
    """Raises Invalid."""
    if len(records) > MOST:
        raise Invalid("virtual.too_many", f"The report names {len(records)} resources; {MOST} is the most.")


def _of_line(number: int, value: Any, host: str) -> Record:
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    if not host:
        host = _named(value.pop(_HOST, None))
    known = {name: each for name, each in value.items() if name not in _OWN}
    return Record(number, host, _reported({name: value.get(name) for name in _OWN}, known))


def of_row(raw: Raw, rules: VirtualRules) -> Record:
    """Raises Invalid."""
    if raw.problem:
        raise _bad(raw.problem)
    fields: dict[str, Any] = {
        name: raw.values[name] for name in (_HOST, *_OWN) if name not in rules.columns and name in raw.values
    }
    for path, name in rules.columns.items():
        value = raw.values[path] if path in raw.values else at(raw.values, path)
        if name and value not in (None, ""):
            fields[name] = value
    fields = {**rules.defaults, **{name: value for name, value in fields.items() if value not in (None, "")}}
    known = {name.removeprefix(_KNOWN): value for name, value in fields.items() if name.startswith(_KNOWN)}
    try:
        reported = _reported({name: fields.get(name) for name in _OWN}, known)
        return Record(raw.line, _named(fields.get(_HOST)), reported)
    except _UNREADABLE as error:
        raise _bad(str(error)) from None


def _named(host: Any) -> str:
    if not isinstance(host, str) or not 0 < len(host.strip()) <= 64 or not host.isprintable():
        raise ValueError("it names no host: `host` is an id or an IP")
    return canonical_ip(host.strip()) if is_ip(host.strip()) else host.strip()


def _reported(own: Mapping[str, Any], known: Mapping[str, Any]) -> Reported:
    plain = {name: str(each) if isinstance(each, dict | list) else each for name, each in known.items()}
    said = {name: value for name, value in plain.items() if value is not None}
    found = msgspec.convert({**own, "known": said}, Reported)
    msgspec.json.encode(found)  # raises for what is no text in Unicode, which nothing could keep
    if found.observed is None:
        return found
    return msgspec.structs.replace(found, observed=found.observed.astimezone(UTC))


def _check_kind(record: Record, kinds: Collection[VirtualKind]) -> None:
    if kinds and record.reported.kind not in kinds:
        raise _bad(f"the collector is to tell of {', '.join(kinds)} only, and this is a {record.reported.kind}")


def _bad(why: str) -> Invalid:
    return Invalid("virtual.bad_record", f"That is no virtual resource: {why[:300]}.")


@dataclass
class Places:
    """Which hosts there are, by id and by IP."""

    ids: frozenset[str] = frozenset()
    ips: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def host(self, named: str) -> str:
        """The host's id. Raises Invalid if there is none, Conflict if there are several."""
        if named in self.ids:
            return named
        found = () if named in EVERY_HOST_HAS else self.ips.get(named, ())
        if len(found) > 1:
            raise Conflict("virtual.ambiguous_host", f"Several hosts have the IP {named}: {', '.join(found[:5])}.")
        if not found:
            raise Invalid("virtual.unknown_host", f"There is no host {named}. Import it, or correct the record.")
        return found[0]


def twice(placed: Placed, collector: str, seen: Collection[str]) -> Conflict | None:
    """The refusal of a record if another one was seen before that says the same of the same host."""
    if named(collector, placed) not in seen:
        return None
    return Conflict("virtual.twice", f"{placed.record.key} of {placed.host} is named before; which counts?")


def named(collector: str, placed: Placed) -> str:
    """The id that the resource has."""
    return f"{placed.host}:{collector}:{placed.record.key}"


def key(resource: Virtual) -> str:
    """What tells it from others of the same host and collector."""
    return f"{resource.kind}:{resource.name}"


def seen(placed: Placed, before: Virtual | None, collector: str, report: str, when: datetime) -> Difference:
    reported = placed.record.reported
    after = Virtual(
        id=named(collector, placed),
        host=placed.host,
        kind=VirtualKind(reported.kind),
        name=reported.name,
        collector=collector,
        known=dict(reported.known),
        first_seen=before.first_seen if before else when,
        last_seen=when,
        missed=0,
        stale=False,
        observed=reported.observed,
        report=report,
    )
    if before is None:
        return Difference(RowOutcome.NEW, None, after)
    same = before.known == after.known and not before.stale
    return Difference(RowOutcome.UNCHANGED if same else RowOutcome.CHANGED, before, after)


def missed(before: Virtual, report: str) -> Difference:
    """The same report never misses a resource twice, however often it is read."""
    if report and before.report == report:
        return Difference(RowOutcome.UNCHANGED, before, before)
    times = before.missed + 1
    after = msgspec.structs.replace(before, missed=times, stale=times >= STALE_AFTER, report=report)
    return Difference(RowOutcome.VANISHED, before, after)


def changes(difference: Difference) -> list[Change]:
    before = _shown(difference.before) if difference.before else {}
    after = _shown(difference.after)
    names = sorted(before.keys() | after.keys())
    return [
        Change(field=name, before=before.get(name), after=after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    ]


def _shown(resource: Virtual) -> dict[str, Any]:
    known = {
        f"{_KNOWN}{name}": str(value) if isinstance(value, float) else value for name, value in resource.known.items()
    }
    return known | ({"stale": True} if resource.stale else {})


def rejected(refused: Iterable[tuple[int, ServiceError]]) -> list[RejectedLine]:
    return [RejectedLine(line=line, message=error.message[:400]) for line, error in list(refused)[:SHOWN]]
