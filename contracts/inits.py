"""Initialisation of hosts: a run prepares hosts in `deploying`, and whoever it succeeds on moves on. Spoken by the
resources service."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from contracts.hosts import HostState, Limit, Token
from contracts.kinds import Call, get, post


class AfterInit(StrEnum):
    STANDBY = HostState.STANDBY.value
    IN_SERVICE = HostState.IN_SERVICE.value


class InitHosts(Struct, frozen=True, kw_only=True):
    """Follow a run: each of its hosts that is in `deploying` now moves on when the run succeeds on it. It is a run that
    one has started oneself, with one's own rights. When the run is tried again, it is followed again by itself."""

    run: Token
    then: AfterInit


class HostInit(Struct, frozen=True, kw_only=True):
    run: str
    then: AfterInit
    hosts: int
    """In `deploying` when it began."""
    succeeded: int
    """So many of them moved on, unless somebody had moved them before."""
    ended: bool
    """The run has ended, and nothing is waited for unless it is tried again."""
    by: str
    created_at: datetime


class ListInits(Struct, frozen=True, kw_only=True):
    after: str = ""
    limit: Limit = 50


class HostInits(Struct, frozen=True, kw_only=True):
    """One's own; the newest run first."""

    inits: list[HostInit]
    next: str = ""


init_hosts = Call(
    "resources.hosts.init",
    InitHosts,
    HostInit,
    needs="hosts:change",
    http=post("/host-inits", status=201),
    idempotent=True,
    summary="Let hosts in deploying move on when my run succeeds on them",
)
list_inits = Call(
    "resources.hosts.inits",
    ListInits,
    HostInits,
    needs="hosts:change",
    http=get("/host-inits"),
    idempotent=True,
    summary="List my initialisations of hosts",
)
