"""The audit trail: who asked for which change, written before it had an effect, and how it ended.

Every service keeps the trail of what it answers; each process adds to a chain of its own, in which every row's digest
covers the row before it. The gateway signs the ends of all chains again and again. Whoever changes, removes or cuts
rows afterwards, or checkpoints, is found by whoever recomputes both: `drover audit verify`.

The rule for a row, for whoever checks it in another language: `digest` is the sha256, in hexadecimal, over the digest
of the row before (of the first row: nothing) and then the row's other fields as JSON: empty ones left out, `at` in
milliseconds since 1970, keys sorted, no spaces, everything beyond ASCII escaped. A checkpoint's digest and its
signature are over the same form of `n`, `at`, `previous` and `heads`.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from contracts.hosts import Limit
from contracts.kinds import Call, get
from contracts.people import Principal
from contracts.permissions import SERVICES
from contracts.redaction import as_json

AUDITED = tuple(sorted(SERVICES))
"""The services that keep a trail: every one that answers changes."""
SIGNING_CONTEXT = b"drover/audit/v1\0"
OK = "ok"
UNKNOWN = "unknown"
"""The outcome of what was asked and never said to have ended: it runs still, or the process died in it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Chain = Annotated[str, Meta(max_length=80)]
Name = Annotated[str, Meta(max_length=200)]
After = Annotated[str, Meta(max_length=120)]
Moment = Annotated[datetime, Meta(tz=True)]


class AuditKind(StrEnum):
    ASKED = "asked"
    """Written before anything happens."""
    DONE = "done"
    """How what was asked ended; `ref` names the row that asked."""
    DENIED = "denied"
    """Refused before anything happened: for want of a permission, or since it could not be read."""


class Actor(Struct, frozen=True, kw_only=True, omit_defaults=True):
    kind: str
    name: str
    via: str = ""
    roles: tuple[str, ...] = ()
    address: str = ""

    @classmethod
    def of(cls, principal: Principal) -> "Actor":
        return cls(
            kind=principal.kind,
            name=principal.name,
            via=principal.via,
            roles=tuple(principal.roles),
            address=principal.address,
        )


class AuditRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row as it is kept. `request`, `before` and `after` are JSON as text, without secrets, long values cut."""

    service: str
    chain: str
    """One process of the service, from start to stop, or to a write whose fate it never learned."""
    n: int
    """From 1 without a gap."""
    at: datetime
    """To the millisecond."""
    kind: AuditKind
    who: Actor
    call: str
    """The subject of the call, as in the reference."""
    object: str = ""
    """What it was about, as far as the request or the reply names it."""
    request: str = ""
    trace: str = ""
    """The same for everything that follows from one request of a person."""
    ref: str = ""
    outcome: str = ""
    """`ok`, or the reason it was refused or failed with."""
    before: str = ""
    after: str = ""
    more: int = 0
    """How many others of `who` were denied shortly before and have no row of their own."""
    digest: str = ""

    @property
    def id(self) -> str:
        """Sorts by time."""
        return f"{id_from(self.at)}-{self.chain}-{self.n}"


class AuditEntry(Struct, frozen=True, kw_only=True):
    """What was asked together with how it ended."""

    id: str
    service: str
    at: datetime
    who: Actor
    call: str
    object: str
    request: str
    trace: str
    outcome: str
    """`ok`, a reason, or `unknown`."""
    ended_at: datetime | None = None
    before: str = ""
    after: str = ""
    more: int = 0
    """How many others were refused shortly before, and have no entry of their own."""


class ListAudit(Struct, frozen=True, kw_only=True):
    """Newest first. Criteria narrow."""

    who: Name = ""
    call: Name = ""
    object: Name = ""
    trace: Name = ""
    outcome: Name = ""
    """`ok`, a reason such as `auth.forbidden`, or `unknown`."""
    since: Moment | None = None
    until: Moment | None = None
    text: Name = ""
    """Somewhere in the entry, without regard to case."""
    after: After = ""
    limit: Limit = 50


class AuditEntries(Struct, frozen=True, kw_only=True):
    """A page ends when enough was read, so with `text` it may be short or empty and have a `next`."""

    entries: list[AuditEntry]
    next: str = ""


class AskRows(Struct, frozen=True, kw_only=True):
    """Rows in the order of their chains; pass the last one's chain and number for those that follow."""

    chain: Chain = ""
    n: int = 0
    limit: Limit = 500


class AuditRows(Struct, frozen=True, kw_only=True):
    rows: list[AuditRow]
    more: bool = False


class Head(Struct, frozen=True, kw_only=True, order=True):
    """Where a chain ends."""

    service: str
    chain: str
    n: int
    digest: str


class AskHeads(Struct, frozen=True, kw_only=True):
    since: datetime
    """Only chains that have grown since."""
    after: Chain = ""
    limit: Limit = 1000


class Heads(Struct, frozen=True, kw_only=True):
    """Sorted by chain."""

    heads: list[Head]
    next: str = ""


class Checkpoint(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The ends of all chains that had grown since the checkpoint before, signed."""

    n: int
    """From 1 without a gap."""
    at: datetime
    previous: str
    """Digest of the checkpoint before; of the first one empty."""
    heads: tuple[Head, ...]
    signature: str = ""
    """`<key id>.<base64 Ed25519>` over SIGNING_CONTEXT and `checkpoint_bytes`."""


class ListCheckpoints(Struct, frozen=True, kw_only=True):
    after: Annotated[int, Meta(ge=0)] = 0
    """The number of the last one that is known."""
    limit: Limit = 100


class Checkpoints(Struct, frozen=True, kw_only=True):
    """In the order they were made."""

    checkpoints: list[Checkpoint]
    keys: dict[str, str]
    """Key id → base64 Ed25519 public key that this server signs with."""
    next: int = 0


class ExportEnd(Struct, frozen=True, kw_only=True):
    checkpoints: int
    rows: int


class ExportLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of an export; it has one of these. First the keys, then checkpoints, then the rows in the order of
    service, chain and number, and last the end, without which an export was cut off."""

    keys: dict[str, str] | None = None
    checkpoint: Checkpoint | None = None
    row: AuditRow | None = None
    end: ExportEnd | None = None


def id_from(moment: datetime) -> str:
    """No row of that moment or later has an id that sorts before this."""
    return f"{max(0, _milliseconds(moment)):012x}"


def to_millisecond(moment: datetime) -> datetime:
    """As exactly as MongoDB keeps it."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def row_digest(previous: str, row: AuditRow) -> str:
    return hashlib.sha256(previous.encode() + _canonical(row, "digest")).hexdigest()


def checkpoint_bytes(checkpoint: Checkpoint) -> bytes:
    """What is signed, and what the next one's `previous` is the sha256 of."""
    return _canonical(checkpoint, "signature")


def checkpoint_digest(checkpoint: Checkpoint) -> str:
    return hashlib.sha256(checkpoint_bytes(checkpoint)).hexdigest()


def _canonical(struct: AuditRow | Checkpoint, without: str) -> bytes:
    fields = msgspec.to_builtins(struct)
    fields.pop(without, None)
    return as_json({**fields, "at": _milliseconds(struct.at)}).encode()


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def entries_of(service: str) -> Call[ListAudit, AuditEntries]:
    """What one service answered. For the gateway, which merges the services' answers."""
    return _of(service, "entries", ListAudit, AuditEntries)


def rows_of(service: str) -> Call[AskRows, AuditRows]:
    return _of(service, "rows", AskRows, AuditRows)


def heads_of(service: str) -> Call[AskHeads, Heads]:
    return _of(service, "heads", AskHeads, Heads)


def _of(service: str, what: str, request: type[Any], reply: type[Any]) -> Call[Any, Any]:
    return Call(f"{service}.audit.{what}", request, reply, needs="audit:read", idempotent=True, reads=True)


list_audit = Call(
    "gateway.audit.list",
    ListAudit,
    AuditEntries,
    needs="audit:read",
    http=get("/audit"),
    idempotent=True,
    summary="Who changed or started what, and how it ended, newest first",
)
list_checkpoints = Call(
    "gateway.audit.checkpoints",
    ListCheckpoints,
    Checkpoints,
    needs="audit:read",
    http=get("/audit/checkpoints"),
    idempotent=True,
    summary="The signed checkpoints of the audit trail, and the public key",
)
