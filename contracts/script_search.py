"""Finding a text in stored scripts. Spoken by the config service."""

from typing import Annotated

from msgspec import Meta, Struct

from contracts.kinds import Call, get
from contracts.scripts import Limit, Script


class SearchScripts(Struct, frozen=True, kw_only=True):
    text: Annotated[str, Meta(min_length=1, max_length=200)]
    """Looked for in names, tags, descriptions and texts, without regard to case."""
    after: str = ""
    limit: Limit = 50


class FoundLine(Struct, frozen=True, kw_only=True):
    version: int
    line: int
    """Counted from 1."""
    text: str
    """Cut if it is long."""


class FoundScript(Struct, frozen=True, kw_only=True):
    script: Script
    lines: list[FoundLine]
    """The first few of the version that is online and of the newest."""
    count: int
    """Lines that match, in both."""


class FoundScripts(Struct, frozen=True, kw_only=True):
    """A page ends when enough text was read, so it may be short or empty and have a `next`."""

    scripts: list[FoundScript]
    next: str = ""


search_scripts = Call(
    "config.scripts.search",
    SearchScripts,
    FoundScripts,
    needs="scripts:read",
    http=get("/script-search"),
    idempotent=True,
    summary="Find a text in names, tags and contents of scripts",
)
