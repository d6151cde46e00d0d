"""Sources: where hosts, or virtual resources, are kept elsewhere and asked for over HTTP. Spoken by the resources
service. What a source says becomes an import.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from contracts.hosts import Limit, Token
from contracts.imports import Import, Rules, VirtualRules
from contracts.kinds import Call, delete, get, post
from contracts.tokens import END


class SourceAuth(StrEnum):
    NONE = "none"
    BEARER = "bearer"
    BASIC = "basic"
    """The secret is `name:password`."""
    HEADER = "header"


class Paging(StrEnum):
    NONE = "none"
    PAGE = "page"
    """Numbered from `first_page`, until a page holds no row."""
    CURSOR = "cursor"
    """`next` is the path to what `parameter` is on the next page, until it is empty."""
    LINK = "link"
    """`next` is the path to the next page's address, until it is empty; left out: the header Link has it."""


Pathed = Annotated[str, Meta(max_length=200)]
"""Names joined by dots, into the JSON of a page: `data.items`; empty is the page itself."""


class SourceMapping(Struct, frozen=True, kw_only=True):
    """How a source is asked, and where its answers have what."""

    url: Annotated[str, Meta(min_length=1, max_length=2000)]
    """Its host must be one of those that the settings of the resources service allow."""
    auth: SourceAuth = SourceAuth.NONE
    header: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{0,64}" + END)] = ""
    """With `header`: the header that carries the secret."""
    rows: Pathed = ""
    paging: Paging = Paging.NONE
    parameter: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\[\]-]{0,64}" + END)] = "page"
    """Of the address: the page's number or cursor."""
    first_page: int = 1
    next: Pathed = ""


class Source(Struct, frozen=True, kw_only=True):
    name: str
    mapping: SourceMapping
    rules: Rules
    """Of hosts."""
    has_secret: bool
    every_s: int
    """0: on demand only."""
    enabled: bool
    next_at: datetime | None
    last_import: str
    revision: int
    changed_by: str
    changed_at: datetime
    virtual: VirtualRules | None = None
    """It delivers virtual resources, by these rules; null: hosts."""


class PutSource(Struct, frozen=True, kw_only=True):
    """Define a source, or define it anew. Field paths stand in the rules' columns: path in a row → field of a host."""

    name: Token
    mapping: SourceMapping
    rules: Rules = Rules()
    """Its `source` is the source's name, whatever it says."""
    virtual: VirtualRules | None = None
    """The rows are virtual resources instead of hosts, and `rules` says nothing."""
    secret: Annotated[str, Meta(max_length=2000)] | None = None
    """Kept encrypted and never shown. Left out: the one that is kept stays, if the address keeps its host."""
    every_s: Annotated[int, Meta(ge=0, le=31 * 86400)] = 0
    """How long after the beginning of one import the next begins; at least 60, or 0."""
    enabled: bool = True
    revision: int | None = None


class SourceRef(Struct, frozen=True, kw_only=True):
    name: Token


class DeleteSource(Struct, frozen=True, kw_only=True):
    name: Token
    revision: int | None = None


class RunSource(Struct, frozen=True, kw_only=True):
    name: Token
    dry_run: bool = False
    """Only plan."""


class ListSources(Struct, frozen=True, kw_only=True):
    after: str = ""
    limit: Limit = 100


class Sources(Struct, frozen=True, kw_only=True):
    sources: list[Source]
    next: str = ""


put_source = Call(
    "resources.sources.put",
    PutSource,
    Source,
    needs="hosts:import",
    http=post("/sources"),
    summary="Define a source of hosts or virtual resources that is asked over HTTP",
)
show_source = Call(
    "resources.sources.show",
    SourceRef,
    Source,
    needs="hosts:import",
    http=get("/sources/{name}"),
    idempotent=True,
    summary="Show a source",
)
list_sources = Call(
    "resources.sources.list",
    ListSources,
    Sources,
    needs="hosts:import",
    http=get("/sources"),
    idempotent=True,
    summary="List sources",
)
delete_source = Call(
    "resources.sources.delete",
    DeleteSource,
    Source,
    needs="hosts:import",
    http=delete("/sources/{name}"),
    summary="Delete a source; virtual resources that it brought are stale",
)
run_source = Call(
    "resources.sources.run",
    RunSource,
    Import,
    needs="hosts:import",
    http=post("/sources/{name}/run", status=201),
    summary="Ask a source now",
)
