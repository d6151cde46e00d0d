"""Changes of a host, field by field, and where its values come from. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import msgspec

from contracts.edits import Change, FieldOrigin, HostEvent, Origin, OriginKind, Value
from contracts.hosts import Host
from runtime import revisions
from services.resources.hosts.document import Document, Origins
from services.resources.hosts.model import CHANGEABLE

NESTED = ("labels", "attributes")
BY_IMPORT = ("hostname", "ips", "idc")
"""What an import says of a host without an agent."""
TRACED = (*CHANGEABLE, *BY_IMPORT)
TOLD_BY_AGENT = ("hostname", "ips")


@dataclass(frozen=True)
class Author:
    """Who or what changes hosts."""

    kind: OriginKind
    name: str
    """As an Origin has it."""
    by: str

    @classmethod
    def person(cls, name: str) -> "Author":
        return cls(OriginKind.PERSON, name, name)

    def origin(self, at: datetime) -> Origin:
        return Origin(kind=self.kind, name=self.name, at=at)


def values(host: Host) -> dict[str, Value]:
    """All that is traced, and not empty."""
    return {field: value for field, value in _flat(host) if value not in ("", [])}


def _flat(host: Host) -> Iterator[tuple[str, Value]]:
    for name in TRACED:
        value = getattr(host, name)
        if name in NESTED:
            for key, each in value.items():
                yield f"{name}.{key}", each
        else:
            yield name, list(value) if isinstance(value, tuple) else value
    if host.revoked:
        yield "revoked", True


def differences(before: Host | None, after: Host) -> list[Change]:
    old, new = values(before) if before else {}, values(after)
    fields = [field for field in sorted({*old, *new}) if old.get(field) != new.get(field)]
    return [Change(field=field, before=old.get(field), after=new.get(field)) for field in fields]


def event(after: Host, changes: list[Change], author: Author, at: datetime) -> HostEvent:
    """The entry of what made the host what it is now."""
    return HostEvent(
        id=entry_id(after.id, after.revision),
        host=after.id,
        revision=after.revision,
        origin=author.origin(at),
        by=author.by,
        changes=changes,
    )


def entry_id(host: str, revision: int) -> str:
    """Sorts by revision."""
    return f"{host}:{revision:08}"


def step(event: HostEvent) -> Document:
    """The entry as the past of a document has it."""
    made = revisions.marks(event.revision, event.by, event.origin.at)
    return revisions.step(made, {change.field: change.before for change in event.changes})


def traced(origins: Origins, changes: Iterable[Change], origin: Origin) -> dict[str, Origin]:
    """The origins after the changes."""
    found = dict(origins)
    for change in changes:
        if change.after is None:
            found.pop(change.field, None)
        else:
            found[change.field] = origin
    return found


def told(host: Host, origins: Origins, facts_at: datetime | None) -> list[FieldOrigin]:
    """Every value with its origin. What was never traced was there when the host came."""
    first = Origin(kind=OriginKind.DROVER, name="", at=host.created_at)
    agent = Origin(kind=OriginKind.AGENT, name=host.facts.agent_version, at=facts_at or host.created_at)
    rows = {
        field: FieldOrigin(field=field, value=value, origin=_origin(field, host, origins, agent, first))
        for field, value in values(host).items()
    }
    if host.agent:
        for name, value in msgspec.structs.asdict(host.facts).items():
            if value not in ("", (), 0):
                rows[f"facts.{name}"] = FieldOrigin(field=f"facts.{name}", value=_plain(value), origin=agent)
    return [rows[field] for field in sorted(rows)]


def _origin(field: str, host: Host, origins: Origins, agent: Origin, first: Origin) -> Origin:
    return agent if host.agent and field in TOLD_BY_AGENT else origins.get(field, first)


def _plain(value: object) -> Value:
    """Lists of records are told as lines."""
    if isinstance(value, tuple):
        return [" ".join(map(str, _fields(each))) for each in value]
    return value if isinstance(value, str | int | bool) else str(value)


def _fields(value: object) -> Iterable[object]:
    return msgspec.structs.astuple(value) if isinstance(value, msgspec.Struct) else (value,)
