"""The cookie that carries a session: unreadable for scripts, never sent from another site's pages."""

from aiohttp import web

from services.gateway.sessions.model import LONGEST

SECURE, PLAIN = "__Host-drover", "drover"
"""Browsers accept the first only over TLS and for the whole of one host; plain HTTP happens on loopback alone."""


def read(request: web.Request) -> str:
    """The session's cookie, or nothing."""
    return request.cookies.get(_name(request), "")


def give(request: web.Request, response: web.StreamResponse, value: str) -> None:
    response.set_cookie(
        _name(request),
        value,
        max_age=int(LONGEST.total_seconds()),
        path="/",
        secure=request.secure,
        httponly=True,
        samesite="Strict",
    )


def take(request: web.Request, response: web.StreamResponse) -> None:
    response.del_cookie(_name(request), path="/", secure=request.secure, httponly=True, samesite="Strict")


def _name(request: web.Request) -> str:
    return SECURE if request.secure else PLAIN
