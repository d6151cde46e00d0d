"""What hosts fit a filter, in MongoDB's words. Pure.

Every value is a string or an enum by its type before it gets here, and each stands as an operand of `$in`: nothing
that a caller sends can become an operator, a field name or a pattern.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from contracts.hosts import HostClass, HostFilter, HostState
from services.resources.hosts.model import canonical_hostname, canonical_ip

Condition = Mapping[str, Any]

LIVE: Condition = {"revoked": False, "state": {"$ne": HostState.RETIRED}}
"""Neither revoked nor retired."""
PHYSICAL: Condition = {"host_class": HostClass.PHYSICAL}
MANAGEMENT: Condition = {"host_class": HostClass.MANAGEMENT}
NOBODY: Condition = {"_id": {"$in": []}}
"""Fits no host."""

_LAST_CHARACTER = "\U0010ffff"

FIELDS = {
    "ids": "_id",
    "ips": "ips",
    "hostnames": "hostname",
    "idcs": "idc",
    "businesses": "business",
    "product_lines": "product_line",
    "states": "state",
    "tags": "tags",
    "rooms": "room",
    "racks": "rack",
    "sets": "host_set",
}
"""Criterion of a filter → field of a host's document."""

NAMES = ("ids", "ips", "hostnames")
"""Criteria that name hosts one by one; the others describe them."""


class Criterion(NamedTuple):
    name: str
    values: tuple[str, ...]
    condition: Condition


class Language(Protocol):
    """What names of groups and expressions mean to whoever asks. Both raise Invalid for what means nothing."""

    def in_groups(self, names: Iterable[str]) -> Condition: ...

    def where(self, text: str) -> Condition: ...


def criteria(asked: HostFilter, language: Language) -> list[Criterion]:
    """One for each criterion that is given; a host fits if it fits all of them. Raises Invalid."""
    found = plain(asked)
    if asked.groups:
        groups = tuple(dict.fromkeys(asked.groups))
        found.append(Criterion("groups", groups, language.in_groups(groups)))
    if asked.where:
        found.append(Criterion("where", (asked.where,), language.where(asked.where)))
    return found


def plain(asked: HostFilter) -> list[Criterion]:
    """Those that speak of fields of hosts."""
    found = []
    for name, field in FIELDS.items():
        values = spelled(name, getattr(asked, name))
        if values:
            found.append(Criterion(name, values, {field: {"$in": list(values)}}))
    return found


def spelled(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """The values of a criterion as the documents spell them, each once."""
    if name == "ips":
        values = map(canonical_ip, values)
    elif name == "hostnames":
        values = map(canonical_hostname, values)
    return tuple(dict.fromkeys(str(value) for value in values))


def all_of(conditions: Iterable[Condition]) -> dict[str, Any]:
    found = [dict(each) for each in conditions if each]
    return {"$and": found} if found else {}


def begins_with(text: str) -> Condition:
    """Id, host name or IP begins with this, as a range: a pattern could be made to run for ever."""
    low = text.lower()
    within = {"$gte": low, "$lt": low + _LAST_CHARACTER}
    return {"$or": [{"_id": within}, {"hostname": within}, {"ips": {"$elemMatch": within}}]}
