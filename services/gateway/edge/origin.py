"""No page of another site may write in the name of somebody who is logged in here.

The cookie is SameSite=Strict and writes take JSON only, which already stops forms; this is the second lock. A program
that is no browser sends neither header and passes: it has no cookie that a page could borrow. Headers that proxies
add are not believed; a proxy must leave Host as the browser sent it.
"""

from urllib.parse import urlsplit

from aiohttp import web

from contracts.errors import Forbidden

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def check(request: web.Request) -> None:
    """Raise Forbidden if a write comes from a page that is not ours."""
    if request.method in SAFE:
        return
    site = request.headers.get("Sec-Fetch-Site", "none")
    origins = request.headers.getall("Origin", [])
    if site not in {"same-origin", "none"} or not all(_is_ours(origin, request) for origin in origins):
        raise Forbidden("http.foreign_origin", "This write comes from a page of another site.")


def _is_ours(origin: str, request: web.Request) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    schemes = {"https"} if request.secure else {"http", "https"}
    return parts.scheme in schemes and bool(parts.netloc) and parts.netloc.lower() == request.host.lower()
