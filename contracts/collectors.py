"""Collectors: stored scripts that are run again and again, and whose output tells the virtual resources of hosts.
Spoken by the resources service, which starts their runs in its own name.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from contracts.accounts import AGENT, AccountName
from contracts.hosts import Limit, Targets, Token
from contracts.kinds import Call, delete, get, post
from contracts.runs import StoredScript
from contracts.virtual import VirtualKind


class Program(Struct, frozen=True, kw_only=True):
    """What is run, where, and as whom. Whoever defines it must be allowed to start it, on any host."""

    script: StoredScript
    """It has the tag `collector`. Version 0 is the one that is online whenever it is run."""
    targets: Targets
    """On each host the lines tell of that host. Only `local`: they are run on the management host, and each line names
    the host that it tells of as `host`, by id or IP."""
    account: AccountName = AGENT
    """An alias; no default of a group takes its place."""
    kinds: tuple[VirtualKind, ...] = ()
    """What its lines may tell of; empty: anything."""
    timeout_s: Annotated[int, Meta(ge=1, le=3600)] = 300


class RefusedReport(Struct, frozen=True, kw_only=True):
    """Nothing of this line, or of this host, was taken."""

    host: str
    line: int
    """Of its output, from 1; 0: all of it."""
    reason: str
    message: str


class CollectionState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"
    """What the hosts said was taken; see what was refused."""
    FAILED = "failed"
    """The run could not be started, or is not known any more. Nothing was taken, and nothing counts as missed."""


class Collection(Struct, frozen=True, kw_only=True):
    """One run of a collector, and what came of it."""

    id: str
    collector: str
    program: Program
    """As it was when it began."""
    state: CollectionState
    run: str
    """Empty until it is started."""
    by: str
    created_at: datetime
    ended_at: datetime | None = None
    hosts: int = 0
    """On which the script succeeded, so that they reported."""
    silent: int = 0
    """From which no report came: what they had was missed."""
    rows: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    missed: int = 0
    stale: int = 0
    """Of those missed, they were missed once too often by this one."""
    refused: int = 0
    refusals: list[RefusedReport] = []
    """The first of them. On a host with lines that cannot be read, nothing counts as missed."""
    reason: str = ""
    message: str = ""
    """Why it failed."""


class Collector(Struct, frozen=True, kw_only=True):
    name: str
    program: Program
    every_s: int
    """0: on demand only."""
    enabled: bool
    next_at: datetime | None
    last: Collection | None
    """The newest; see `resources.collectors.collections` for those before."""
    revision: int
    changed_by: str
    changed_at: datetime


class PutCollector(Struct, frozen=True, kw_only=True):
    """Define a collector, or define it anew."""

    name: Token
    program: Program
    every_s: Annotated[int, Meta(ge=0, le=31 * 86400)] = 0
    """How long after the beginning of one run the next begins; at least 60, or 0. While one goes on, none begins."""
    enabled: bool = True
    revision: int | None = None


class CollectorRef(Struct, frozen=True, kw_only=True):
    name: Token


class DeleteCollector(Struct, frozen=True, kw_only=True):
    name: Token
    revision: int | None = None


class ListCollectors(Struct, frozen=True, kw_only=True):
    after: str = ""
    limit: Limit = 100


class Collectors(Struct, frozen=True, kw_only=True):
    collectors: list[Collector]
    next: str = ""


class CollectionRef(Struct, frozen=True, kw_only=True):
    id: Token


class ListCollections(Struct, frozen=True, kw_only=True):
    name: Token
    after: str = ""
    limit: Limit = 50


class Collections(Struct, frozen=True, kw_only=True):
    """The newest first."""

    collections: list[Collection]
    next: str = ""


put_collector = Call(
    "resources.collectors.put",
    PutCollector,
    Collector,
    needs="hosts:import",
    http=post("/collectors"),
    summary="Define a collector of virtual resources",
)
show_collector = Call(
    "resources.collectors.show",
    CollectorRef,
    Collector,
    needs="hosts:import",
    http=get("/collectors/{name}"),
    idempotent=True,
    summary="Show a collector and its newest run",
)
list_collectors = Call(
    "resources.collectors.list",
    ListCollectors,
    Collectors,
    needs="hosts:import",
    http=get("/collectors"),
    idempotent=True,
    summary="List collectors",
)
delete_collector = Call(
    "resources.collectors.delete",
    DeleteCollector,
    Collector,
    needs="hosts:import",
    http=delete("/collectors/{name}"),
    summary="Delete a collector; virtual resources that it found are stale",
)
run_collector = Call(
    "resources.collectors.run",
    CollectorRef,
    Collection,
    needs="hosts:import",
    http=post("/collectors/{name}/run", status=201),
    idempotent=True,
    summary="Run a collector now; while it runs, this finds the same run",
)
show_collection = Call(
    "resources.collectors.collection",
    CollectionRef,
    Collection,
    needs="hosts:import",
    http=get("/collections/{id}"),
    idempotent=True,
    summary="What came of one run of a collector",
)
list_collections = Call(
    "resources.collectors.collections",
    ListCollections,
    Collections,
    needs="hosts:import",
    http=get("/collectors/{name}/collections"),
    idempotent=True,
    summary="List the runs of a collector, newest first",
)
