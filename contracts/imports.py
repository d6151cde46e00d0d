"""Hosts from elsewhere: uploads, and what sources say (contracts/sources.py). Spoken by the resources service.

An upload is begun, given its text in pieces, planned (nothing is changed, every difference is told) and applied;
applying needs no plan before. Planning and applying go on after the call was answered: ask for the import until it has
ended.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from contracts.edits import Change
from contracts.hosts import Limit, Token
from contracts.kinds import Call, Event, get, post
from contracts.tokens import END

PIECE_CHARACTERS = 200_000
"""Of one piece, so that it fits into a message however it is written."""
MOST_BYTES = 64 * 1024 * 1024
Piece = Annotated[str, Meta(max_length=PIECE_CHARACTERS)]
Column = Annotated[str, Meta(min_length=1, max_length=200)]
Field = Annotated[
    str,
    Meta(
        pattern=r"^($|(hostname|ips|idc|room|rack|set|business|product_line|state|class|serial|asset_id|tags)$"
        r"|(labels|attributes)\.[A-Za-z0-9_.:/-]{1,64}" + END + ")"
    ),
]
"""A field of a host, or empty: the column is passed over."""


class Format(StrEnum):
    CSV = "csv"
    JSON = "json"
    """A list of objects."""
    YAML = "yaml"
    """A list of mappings, up to 2 MiB."""


class Key(StrEnum):
    ASSET_ID = "asset_id"
    SERIAL = "serial"
    IP = "ip"
    HOSTNAME = "hostname"


class OnNew(StrEnum):
    CREATE = "create"
    SKIP = "skip"


class OnChanged(StrEnum):
    UPDATE = "update"
    SKIP = "skip"


class OnVanished(StrEnum):
    IGNORE = "ignore"
    RETIRE = "retire"
    FAULTY = "faulty"


class Rules(Struct, frozen=True, kw_only=True):
    """What is made of the rows. Only fields that the rows bring are touched."""

    source: Token = "upload"
    """Whose word it is. A host vanishes if an earlier import of the same source had it and this one has not."""
    match_by: Annotated[tuple[Key, ...], Meta(min_length=1)] = (Key.ASSET_ID, Key.SERIAL, Key.IP, Key.HOSTNAME)
    """The first of these that a row has, and any host answers to, decides which host it is."""
    new: OnNew = OnNew.CREATE
    changed: OnChanged = OnChanged.UPDATE
    vanished: OnVanished = OnVanished.IGNORE
    """Nothing is done about them if a row was rejected, since that row may be one of them."""
    most_vanished_percent: Annotated[int, Meta(ge=0, le=100)] = 20
    """If more of the source's hosts vanish, the import fails before it changes anything."""
    columns: Annotated[dict[Column, Field], Meta(max_length=200)] = {}
    """Column of the rows → field of a host, where the two differ; an empty field passes the column over."""
    defaults: Annotated[dict[Field, Annotated[str, Meta(max_length=200)]], Meta(max_length=64)] = {}
    """Field → what it is where a row says nothing."""
    make_places: bool = False
    """Businesses, rooms and so on that do not exist are made; left out, their rows are rejected."""


VirtualField = Annotated[str, Meta(pattern=r"^($|(host|kind|name|observed)$|known\.[a-z][a-z0-9_]{0,63}" + END + ")")]
"""A field of a virtual resource, or empty: the path is passed over. `host` is an id or an IP, `observed` a time as RFC
3339 has it."""


class VirtualRules(Struct, frozen=True, kw_only=True):
    """What is made of rows that are virtual resources. Rows bring `host`, `kind`, `name` and `observed` under these
    names, or where `columns` says; what else is known comes from `columns` alone.

    Resources that earlier fetches named and this one does not have been missed, unless a row was rejected, since it may
    be one of them; a row whose host is not known keeps those of its kind and name.
    """

    columns: Annotated[dict[Column, VirtualField], Meta(max_length=200)] = {}
    """Path into a row → field of a virtual resource."""
    defaults: Annotated[dict[VirtualField, Annotated[str, Meta(max_length=200)]], Meta(max_length=64)] = {}
    """Field → what it is where a row says nothing, such as `kind`."""


class ImportState(StrEnum):
    RECEIVING = "receiving"
    FETCHING = "fetching"
    """A source is being asked."""
    PLANNING = "planning"
    PLANNED = "planned"
    APPLYING = "applying"
    APPLIED = "applied"
    FAILED = "failed"


class RowOutcome(StrEnum):
    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    VANISHED = "vanished"
    """Of a virtual resource: missed; its `stale` tells whether once too often."""
    CONFLICT = "conflict"
    """Nobody can say which host it is, or the host cannot become that."""
    REJECTED = "rejected"
    """The row cannot be read, or names what does not exist."""


class ImportCounts(Struct, frozen=True, kw_only=True):
    rows: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    vanished: int = 0
    conflict: int = 0
    rejected: int = 0
    done: int = 0
    """Hosts that were created, updated or marked."""


class Import(Struct, frozen=True, kw_only=True):
    id: str
    format: Format
    rules: Rules
    state: ImportState
    by: str
    created_at: datetime
    ended_at: datetime | None
    counts: ImportCounts
    reason: str
    """Why it failed."""
    message: str
    dry_run: bool = False
    """Of a source that was asked: only planned."""
    virtual: VirtualRules | None = None
    """The rows are virtual resources, by these rules instead. Then `vanished` counts those that are missed, `done` all
    that was written."""


class BeginImport(Struct, frozen=True, kw_only=True):
    format: Format
    rules: Rules = Rules()
    text: Piece = ""
    """The first piece, or all of it."""


class AddPiece(Struct, frozen=True, kw_only=True):
    """Pieces may come in any order, and again."""

    id: Token
    number: Annotated[int, Meta(ge=1, le=100_000)]
    """From 1; the text given at the beginning is 0."""
    text: Piece


class ImportRef(Struct, frozen=True, kw_only=True):
    id: Token


class ListImports(Struct, frozen=True, kw_only=True):
    source: str = ""
    after: str = ""
    limit: Limit = 50


class Imports(Struct, frozen=True, kw_only=True):
    """The newest first."""

    imports: list[Import]
    next: str = ""


class ListRows(Struct, frozen=True, kw_only=True):
    id: Token
    outcomes: tuple[RowOutcome, ...] = ()
    after: str = ""
    limit: Limit = 100


class Row(Struct, frozen=True, kw_only=True):
    """What became of one row, or of a host that has none any more."""

    line: int
    """Of the text (CSV), or its number in the list, from 1; 0 of a vanished host."""
    outcome: RowOutcome
    done: bool
    """Whether a host was created, updated or marked."""
    host: str
    name: str
    """The host's name, or whatever else the row calls it."""
    changes: list[Change]
    reason: str
    message: str


class Rows(Struct, frozen=True, kw_only=True):
    """By line; rows that change nothing are only counted."""

    rows: list[Row]
    next: str = ""


class ImportEnded(Struct, frozen=True, kw_only=True):
    """Of the hosts that an import changes no event speaks one by one."""

    id: str
    source: str
    state: ImportState


begin_import = Call(
    "resources.imports.begin",
    BeginImport,
    Import,
    needs="hosts:import",
    http=post("/imports", status=201),
    summary="Begin an import of hosts",
)
add_piece = Call(
    "resources.imports.add",
    AddPiece,
    Import,
    needs="hosts:import",
    http=post("/imports/{id}/pieces"),
    idempotent=True,
    summary="Give an import its next piece of text",
)
plan_import = Call(
    "resources.imports.plan",
    ImportRef,
    Import,
    needs="hosts:import",
    http=post("/imports/{id}/plan"),
    idempotent=True,
    summary="Find out what an import would change",
)
apply_import = Call(
    "resources.imports.apply",
    ImportRef,
    Import,
    needs="hosts:import",
    http=post("/imports/{id}/apply"),
    idempotent=True,
    summary="Apply an import",
)
show_import = Call(
    "resources.imports.show",
    ImportRef,
    Import,
    needs="hosts:import",
    http=get("/imports/{id}"),
    idempotent=True,
    summary="Where an import stands",
)
list_imports = Call(
    "resources.imports.list",
    ListImports,
    Imports,
    needs="hosts:import",
    http=get("/imports"),
    idempotent=True,
    summary="List imports",
)
list_rows = Call(
    "resources.imports.rows",
    ListRows,
    Rows,
    needs="hosts:import",
    http=get("/imports/{id}/rows"),
    idempotent=True,
    summary="What became of the rows of an import",
)
import_ended = Event("resources", "import", ImportEnded, key="id")
