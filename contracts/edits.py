"""Changing many hosts at once, what became of each host over time, and where its values come from. Spoken by the
resources service."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from contracts.hosts import (
    AttributeName,
    Attributes,
    HostFilter,
    HostRef,
    HostState,
    Labels,
    Limit,
    Tag,
    Tags,
    Text,
    Token,
)
from contracts.kinds import Call, get, post

Value = str | int | bool | list[str] | None
"""None: there is no value."""
Names = Annotated[tuple[AttributeName, ...], Meta(max_length=64)]


class Change(Struct, frozen=True, kw_only=True):
    field: str
    """As a host has it; of labels and attributes with the name behind a dot, such as `labels.env`."""
    before: Value
    after: Value


class BulkEdit(Struct, frozen=True, kw_only=True):
    """The same change to many hosts, at most 1,000 in one answer, in the order of their ids.

    Fields left out stay as they are. What is refused for one host does not keep the others from being changed.
    """

    filter: HostFilter
    """Which hosts. Nothing asked is an error, never everything."""
    dry_run: bool = False
    """Only say what would change."""
    after: str = ""
    limit: Limit = 1000
    state: HostState | UnsetType = UNSET
    business: Text | UnsetType = UNSET
    product_line: Text | UnsetType = UNSET
    room: Text | UnsetType = UNSET
    rack: Text | UnsetType = UNSET
    host_set: Text | UnsetType = UNSET
    add_tags: Tags = ()
    remove_tags: Tags = ()
    set_labels: Labels = {}
    remove_labels: Annotated[tuple[Tag, ...], Meta(max_length=64)] = ()
    set_attributes: Attributes = {}
    remove_attributes: Names = ()


class EditOutcome(StrEnum):
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class HostEdit(Struct, frozen=True, kw_only=True):
    host: str
    hostname: str
    outcome: EditOutcome
    revision: int
    changes: list[Change] = []
    reason: str = ""
    """Of a refusal, as for one host alone."""
    message: str = ""


class HostEdits(Struct, frozen=True, kw_only=True):
    hosts: list[HostEdit]
    next: str = ""
    """Pass as `after` to go on with the next hosts."""


class OriginKind(StrEnum):
    PERSON = "person"
    IMPORT = "import"
    JOIN_TOKEN = "join_token"  # noqa: S105  the name of a kind
    AGENT = "agent"
    DROVER = "drover"
    """What follows from something else, such as the end of the job that deploys a host."""


class Origin(Struct, frozen=True, kw_only=True):
    """Where something comes from: the person's name, the source of an import, the id of a join token or run."""

    kind: OriginKind
    name: str
    at: datetime


class FieldOrigin(Struct, frozen=True, kw_only=True):
    field: str
    value: Value
    origin: Origin


class HostOrigins(Struct, frozen=True, kw_only=True):
    fields: list[FieldOrigin]
    """Every field that has a value, sorted by name; those below `facts.` are from the agent."""


class HostEvent(Struct, frozen=True, kw_only=True):
    id: str
    host: str
    revision: int
    """What the host's revision became."""
    origin: Origin
    by: str
    """Who caused it."""
    changes: list[Change]
    note: str = ""
    """What happened, where nothing of the host changed."""


class ListHistory(Struct, frozen=True, kw_only=True):
    host: Token
    after: str = ""
    limit: Limit = 100


class HostHistory(Struct, frozen=True, kw_only=True):
    """The newest first."""

    events: list[HostEvent]
    next: str = ""


edit_hosts = Call(
    "resources.hosts.edit",
    BulkEdit,
    HostEdits,
    needs="hosts:change",
    http=post("/hosts/edit"),
    summary="Change many hosts at once, or see what would change",
)
host_history = Call(
    "resources.hosts.history",
    ListHistory,
    HostHistory,
    needs="hosts:read",
    http=get("/hosts/{host}/history"),
    idempotent=True,
    summary="Every change of a host: who, when, what before and after",
)
host_origins = Call(
    "resources.hosts.origins",
    HostRef,
    HostOrigins,
    needs="hosts:read",
    http=get("/hosts/{host}/origins"),
    idempotent=True,
    summary="Where each value of a host comes from",
)
