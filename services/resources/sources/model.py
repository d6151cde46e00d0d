"""Addresses that a source may have, and where its pages continue. Pure."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from yarl import URL

from contracts.errors import Invalid
from contracts.sources import Paging, PutSource, SourceAuth, SourceMapping
from services.resources.imports.reading import at

SHORTEST_S = 60
_FRAMING = frozenset(
    {"connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that say how a request is read, or where it goes."""
_LINK = re.compile(r'<([^<>]{1,2000})>\s*;[^,]{0,200}\brel="?next"?')


def address(url: str, allowed: Collection[str]) -> URL:
    """The address, if the settings allow to ask it. Raises Invalid."""
    try:
        found = URL(url)
    except ValueError:
        found = URL()
    if found.scheme not in {"http", "https"} or not found.host or found.user is not None:
        raise Invalid("source.bad_address", f"{url[:200]!r} is no http or https address without a name and password.")
    if not {found.host, f"{found.host}:{found.port}"} & set(allowed):
        raise Invalid(
            "source.not_allowed",
            f"The settings do not allow to ask {found.host}:{found.port}; allowed are {', '.join(allowed) or 'none'}.",
        )
    return found


def check(request: PutSource, allowed: Collection[str]) -> None:
    """Raises Invalid."""
    address(request.mapping.url, allowed)
    if 0 < request.every_s < SHORTEST_S:
        raise Invalid("source.too_often", f"A source is asked every {SHORTEST_S} s at most, or on demand only (0).")
    if (request.mapping.auth is SourceAuth.HEADER) != bool(request.mapping.header):
        raise Invalid("source.bad_mapping", "A header is named with auth `header`, and only then.")
    check_secret(request.mapping, request.secret or "")
    if request.mapping.paging is Paging.CURSOR and not request.mapping.next:
        raise Invalid("source.bad_mapping", "Paging by cursor needs `next`, the path to the next cursor.")


def check_secret(mapping: SourceMapping, secret: str) -> None:
    """Raises Invalid for what no request can carry, without telling the secret."""
    if mapping.header.lower() in _FRAMING:
        raise Invalid("source.bad_mapping", f"The header {mapping.header} belongs to HTTP itself; name another.")
    if not secret.isprintable():
        raise Invalid(
            "source.bad_secret",
            "The secret has a line break or another character that cannot be printed, which no header can carry.",
        )


def check_complete(mapping: SourceMapping, *, has_secret: bool) -> None:
    """Raises Invalid."""
    if mapping.auth is not SourceAuth.NONE and not has_secret:
        message = f"With auth `{mapping.auth}` a secret is sent, and none is known: give it, or ask without auth."
        raise Invalid("source.secret_missing", message)


def same_place(one: str, other: str) -> bool:
    """Whether the two addresses are of one server, so that a secret for the one may go to the other."""
    return URL(one).origin() == URL(other).origin()


def first(mapping: SourceMapping, url: URL) -> URL:
    numbered = mapping.paging is Paging.PAGE
    return url.update_query({mapping.parameter: str(mapping.first_page)}) if numbered else url


def rows(mapping: SourceMapping, page: Any) -> list[Any]:
    """Raises Invalid."""
    found = at(page, mapping.rows)
    if not isinstance(found, list):
        raise Invalid("source.bad_answer", f"There is no list at {mapping.rows or 'the top'} of the answer.")
    return found


def following(mapping: SourceMapping, asked: URL, page: Any, headers: Mapping[str, str]) -> URL | None:
    """The next page's address. Raises Invalid if it leads to another server."""
    match mapping.paging:
        case Paging.NONE:
            return None
        case Paging.PAGE:
            number = int(asked.query[mapping.parameter])
            return asked.update_query({mapping.parameter: str(number + 1)}) if rows(mapping, page) else None
        case Paging.CURSOR:
            cursor = at(page, mapping.next)
            return asked.update_query({mapping.parameter: str(cursor)}) if cursor not in (None, "", False) else None
    link = at(page, mapping.next) if mapping.next else _linked(headers)
    if not link:
        return None
    try:
        found = asked.join(URL(str(link)))
        leads_away = found.origin() != asked.origin()
    except ValueError:
        leads_away = True
    if leads_away:
        raise Invalid("source.bad_answer", f"The next page is said to be at another server: {str(link)[:200]!r}.")
    return found


def _linked(headers: Mapping[str, str]) -> str:
    found = _LINK.search(headers.get("Link", "")[:8000])
    return found[1] if found else ""
