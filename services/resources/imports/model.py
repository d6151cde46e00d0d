"""Which host a row speaks of, and what it makes of it. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from contracts.edits import Change
from contracts.errors import Conflict, Invalid, ServiceError
from contracts.hosts import Host, HostClass, HostFacts, HostState, Presence
from contracts.imports import Key, Row, RowOutcome, Rules
from services.resources.history.model import differences
from services.resources.hosts import model as hosts
from services.resources.hosts.editing import Edit
from services.resources.imports.reading import Raw

FIELD = {Key.ASSET_ID: "asset_id", Key.SERIAL: "serial", Key.IP: "ips", Key.HOSTNAME: "hostname"}
"""Key → the field of a host that has it."""
AGENTS_OWN = frozenset({"hostname", "ips"})
"""Once there is an agent, what it says of these counts."""

Named = tuple[Key, str]


def names(values: Mapping[str, Any], keys: Iterable[Key]) -> Iterator[Named]:
    """All by which a host with these values can be found."""
    for key in keys:
        value = values.get(FIELD[key])
        for each in (value,) if isinstance(value, str) else value or ():
            if each:
                yield key, each


def given_ips(values: Mapping[str, Any], host: Host | None) -> list[Named]:
    """The row's IPs that the host does not have yet."""
    return [name for name in names(values, (Key.IP,)) if host is None or name[1] not in host.ips]


@dataclass
class Known:
    """Hosts by their names."""

    hosts: dict[str, Host] = field(default_factory=dict)
    ids: dict[Named, set[str]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def of(cls, found: Iterable[Host], keys: Iterable[Key]) -> "Known":
        known = cls()
        for host in found:
            known.hosts[host.id] = host
            for name in names({attr: getattr(host, attr) for attr in FIELD.values()}, keys):
                known.ids[name].add(host.id)
        return known

    def match(self, values: Mapping[str, Any], keys: Sequence[Key]) -> Host | None:
        """The host that the first key decides on to which any answers. Raises Conflict if several answer to it."""
        for key in keys:
            found = set().union(*(self.ids.get(name, set()) for name in names(values, (key,))))
            if len(found) > 1:
                raise Conflict(
                    "import.ambiguous", f"Several hosts have this {key}: {', '.join(sorted(found)[:5])}. Correct one."
                )
            if found:
                return self.hosts[found.pop()]
        return None

    def refuse_others_ips(self, host: Host | None, given: Iterable[Named]) -> None:
        """Raises Conflict if one of the IPs that a row gives to this host is another's; one retired has none."""
        for name in given:
            others = sorted(
                other
                for other in self.ids.get(name, set())
                if (host is None or other != host.id) and self.hosts[other].state is not HostState.RETIRED
            )
            if others:
                raise Conflict("import.ambiguous", f"The IP {name[1]} belongs to {others[0]}. Correct one.")


@dataclass
class Taken:
    """What earlier rows of the same import have spoken of."""

    hosts: dict[str, int] = field(default_factory=dict)
    names: dict[Named, int] = field(default_factory=dict)

    def take(self, line: int, host: Host | None, named: Collection[Named]) -> None:
        """Raises Conflict if another row speaks of the same host, or of a new one by the same name."""
        earlier = self.hosts.get(host.id) if host else None
        if host:
            self.hosts.setdefault(host.id, line)
        if earlier is None:
            earlier = next((self.names[name] for name in named if name in self.names), None)
        if earlier is not None:
            raise Conflict("import.ambiguous", f"Row {earlier} speaks of the same host, or gives it the same IP.")
        self.names.update(dict.fromkeys(named, line))


@dataclass(frozen=True)
class Read:
    """A row that could be read, or why it could not."""

    raw: Raw
    values: Mapping[str, Any] = field(default_factory=dict)
    refusal: ServiceError | None = None

    @property
    def name(self) -> str:
        ips = self.values.get("ips") or ("",)
        named = (self.values.get("hostname"), self.values.get("asset_id"), self.values.get("serial"), ips[0])
        return next(filter(None, named), "")


def blank(host: str, by: str, at: datetime) -> Host:
    """A host of which nothing is known yet, and that has no agent."""
    return Host(
        id=host,
        hostname="",
        ips=(),
        idc="",
        host_class=HostClass.PHYSICAL,
        state=HostState.STANDBY,
        business="",
        product_line="",
        tags=(),
        labels={},
        facts=HostFacts(),
        presence=Presence(),
        created_at=at,
        revision=1,
        agent=False,
        changed_by=by,
        changed_at=at,
    )


def made(blank: Host, values: Mapping[str, Any], keys: Sequence[Key]) -> Edit:
    """The new host; refused if the row says too little to know it again."""
    lacks = "" if any(names(values, keys)) else f"The row has none of {', '.join(keys)}, by which to find it again."
    if not values.get("idc"):
        lacks = "The row names no IDC, and a new host needs one."
    if lacks:
        return Edit(blank, blank, [], Invalid("import.bad_row", lacks))
    after = msgspec.structs.replace(blank, **_whole(blank, values))
    return Edit(blank, after, differences(None, after))


def merged(host: Host, values: Mapping[str, Any], *, by: str, at: datetime) -> Host:
    """The host with what the row brings. Raises Conflict."""
    if host.agent:
        idc = values.get("idc", host.idc)
        if idc != host.idc:
            raise Conflict("import.other_idc", f"{host.id} is enrolled in the IDC {host.idc}, not in {idc}.")
        values = {name: value for name, value in values.items() if name not in AGENTS_OWN}
    values = {name: value for name, value in values.items() if name != "host_class"}  # given once, never changed
    return hosts.changed(host, _whole(host, values), by=by, at=at)


def _whole(host: Host, values: Mapping[str, Any]) -> dict[str, Any]:
    """With the labels and attributes of which the row does not speak."""
    found = dict(values)
    for name in {"labels", "attributes"} & values.keys():
        both = {**getattr(host, name), **values[name]}
        found[name] = {key: value for key, value in both.items() if value is not None}
    return found


def told(read: Read, outcome: RowOutcome, edit: Edit | None = None, *, done: bool = False) -> Row:
    refusal = read.refusal or (edit.refusal if edit else None)
    changes: list[Change] = edit.changes if edit else []
    return Row(
        line=read.raw.line,
        outcome=outcome,
        done=done,
        host=edit.after.id if edit else "",
        name=read.name or (edit.after.hostname if edit else ""),
        changes=changes,
        reason=refusal.reason if refusal else "",
        message=refusal.message if refusal else "",
    )


def refused_as(refusal: ServiceError) -> RowOutcome:
    return RowOutcome.CONFLICT if isinstance(refusal, Conflict) else RowOutcome.REJECTED


def gone(host: Host, rules_state: HostState | None, *, by: str, at: datetime) -> Host:
    """A host that its source does not name any more."""
    return host if rules_state is None else hosts.changed(host, {"state": rules_state}, by=by, at=at)


def refuse_too_many(vanished: int, known: int, rules: Rules) -> None:
    """Raises Conflict."""
    if vanished * 100 > known * rules.most_vanished_percent:
        raise Conflict(
            "import.vanished_too_many",
            f"{vanished} of the {known} hosts of {rules.source} are missing, more than"
            f" {rules.most_vanished_percent} percent. Nothing was changed; is the list whole?",
        )
