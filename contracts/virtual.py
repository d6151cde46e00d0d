"""Virtual resources: virtual machines and database instances, as collectors report them of each host. Spoken by the
resources service.

A collector is any executable that prints JSON, one object a line: `kind` and `name`, and whatever else it knows as
texts, numbers or true and false; `observed` is when that was seen. It may run on the host, or on the management host
for other hosts.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from contracts.hosts import AttributeName, Label, Limit, Token
from contracts.kinds import Call, get, post

STALE_AFTER = 3
"""So many reports of the same collector in which a resource was missing."""
Lines = Annotated[str, Meta(max_length=200_000)]
Known = Label | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | Annotated[float, Meta(ge=-1e300, le=1e300)] | bool


class VirtualKind(StrEnum):
    VM = "vm"
    DATABASE = "database"


class Reported(Struct, frozen=True, kw_only=True):
    """One line of a collector."""

    kind: VirtualKind
    name: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
    known: Annotated[dict[AttributeName, Known], Meta(max_length=64)] = {}
    observed: Annotated[datetime, Meta(tz=True)] | None = None
    """When whoever says it has seen it; with a time zone."""


class Virtual(Struct, frozen=True, kw_only=True):
    id: str
    host: str
    kind: VirtualKind
    name: str
    collector: str
    """Who says it; of a source of the name cmdb, `source:cmdb`."""
    known: dict[str, str | int | float | bool]
    """What else the collector said."""
    first_seen: datetime
    last_seen: datetime
    missed: int
    """Reports of the collector since then, in which it was missing."""
    stale: bool
    observed: datetime | None = None
    """When the collector, or what it asks, has seen it, if it said so."""
    report: str = ""
    """The import or the run of a collector that last named it or missed it; empty of a report handed in by itself."""


class ReportVirtual(Struct, frozen=True, kw_only=True):
    """All that a collector found on a host: what it found before and does not name now has been missed."""

    host: Token
    collector: Token
    lines: Lines


class RejectedLine(Struct, frozen=True, kw_only=True):
    line: int
    message: str


class ReportTaken(Struct, frozen=True, kw_only=True):
    new: int
    changed: int
    unchanged: int
    missed: int
    """Missing in this report, and not yet stale."""
    stale: int
    """Missing in this report, once too often."""
    rejected: list[RejectedLine]
    """If there is any, nothing counts as missed: it may be what could not be read."""


class ListVirtual(Struct, frozen=True, kw_only=True):
    hosts: tuple[str, ...] = ()
    kinds: tuple[VirtualKind, ...] = ()
    search: Annotated[str, Meta(max_length=200)] = ""
    """Matches the beginning of a name, without regard to case."""
    stale: bool | None = None
    after: str = ""
    limit: Limit = 100


class VirtualResources(Struct, frozen=True, kw_only=True):
    resources: list[Virtual]
    next: str = ""


class CountVirtual(Struct, frozen=True, kw_only=True):
    hosts: Annotated[tuple[str, ...], Meta(min_length=1, max_length=1000)]
    """Ids."""


class VirtualCount(Struct, frozen=True, kw_only=True):
    host: str
    vm: int = 0
    database: int = 0
    stale: int = 0
    """Of both."""


class VirtualCounts(Struct, frozen=True, kw_only=True):
    hosts: list[VirtualCount]
    """Those that have any, by id."""


report_virtual = Call(
    "resources.virtual.report",
    ReportVirtual,
    ReportTaken,
    needs="hosts:change",
    http=post("/hosts/{host}/virtual"),
    summary="Take what a collector found on a host",
)
list_virtual = Call(
    "resources.virtual.list",
    ListVirtual,
    VirtualResources,
    needs="hosts:read",
    http=get("/virtual"),
    idempotent=True,
    summary="List virtual machines and database instances",
)
count_virtual = Call(
    "resources.virtual.count",
    CountVirtual,
    VirtualCounts,
    needs="hosts:read",
    http=get("/virtual/counts"),
    idempotent=True,
    summary="Count virtual resources of each host",
)
