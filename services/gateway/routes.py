"""HTTP from the table of contracts: one route for every call that has one, and the few written by hand.

A hand-written one is declared as a call too, so that its permission, its reading and its place in the API document
come the same way; only its answer is its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from structlog.contextvars import bind_contextvars

from contracts import registry
from contracts.errors import Invalid, ServiceError
from contracts.kinds import ANYONE, Call, Route
from contracts.people import Principal
from runtime.authorize import Undeclared, authorize, check_declared
from runtime.bus import Auditor, Bus
from services.gateway.edge import reading
from services.gateway.edge.rates import Rates
from services.gateway.identity import Identity, nobody

Q = TypeVar("Q")

PREFIX = "/api/v1"
BODIES = frozenset({"POST", "PUT", "PATCH"})
IDEMPOTENCY = "Idempotency-Key"
CALL_TIMEOUT_S = 10.0
LARGE_BODY = 8 * 1024
"""Above this a body is read in a thread: the worst of 1 MiB takes half a second."""
STRANGERS_BODY = 64 * 1024
"""What calls without a login take; an enrolment has a few KiB."""


@dataclass(frozen=True)
class Page:
    """A route written by hand. `call.reply` is told in the API document only.

    What changes something is written in the audit trail before `handle` is called.
    """

    call: Call[Any, Any]
    handle: Callable[[web.Request, Any, Principal], Awaitable[web.StreamResponse]]
    media_type: str = "application/json"
    audited: bool = True
    """False: `handle` writes in the trail by itself, or somebody else does."""
    raw: bool = False
    """The body is bytes as they are; the fields stand in path and query."""

    @property
    def route(self) -> Route:
        if self.call.http is None:
            raise Undeclared(f"{self.call.subject} says no HTTP route")
        return self.call.http


class Routes:
    def __init__(self, bus: Bus, identity: Identity, anonymous: Rates, auditor: Auditor) -> None:
        self._bus = bus
        self._auditor = auditor
        self._identity = identity
        self._anonymous = anonymous

    def of_calls(self, calls: Iterable[Call[Any, Any]] | None = None) -> list[web.RouteDef]:
        """Answered by a service. Raises Undeclared for one without a declared permission."""
        pages = [Page(call, self._forward(call)) for call in calls or registry.calls() if call.http]
        return [self._of(page, answered_here=False) for page in pages]

    def of_pages(self, pages: Iterable[Page]) -> list[web.RouteDef]:
        """Answered by the gateway. Raises Undeclared for one without a declared permission."""
        return [self._of(page, answered_here=True) for page in pages]

    def _of(self, page: Page, *, answered_here: bool) -> web.RouteDef:
        call, route = page.call, page.route
        check_declared(call)
        query = None if route.method in BODIES and not page.raw else reading.Query(call.request)

        async def handle(request: web.Request) -> web.StreamResponse:
            principal = await self._admitted(request, call)
            if answered_here:
                self._authorize(principal, call)
            bind_contextvars(by=principal.name)
            message = await self._read(request, call, query, principal)
            if not (answered_here and call.changes and page.audited):
                return await page.handle(request, message, principal)
            return await self._auditor.carried_out(
                call, message, principal, lambda: page.handle(request, message, principal)
            )

        # A HEAD would do all the work of the GET, and on the live stream never end.
        options = {"allow_head": False} if route.method == "GET" else {}
        return web.route(route.method, PREFIX + route.path, handle, **options)

    async def _admitted(self, request: web.Request, call: Call[Any, Any]) -> Principal:
        """Who asks. What a person may do is decided where the call is answered; nobody gets no further than this."""
        if call.needs == ANYONE:
            self._anonymous.take(request.remote or "")
            return nobody(request)
        principal = await self._identity.of(request)
        if principal.kind == "anonymous":
            authorize(principal, call)
        return principal

    async def _read(
        self, request: web.Request, call: Call[Q, Any], query: reading.Query | None, principal: Principal
    ) -> Q:
        """As `read` does. A change that cannot be read leaves who, what and why in the trail, never the body."""
        try:
            return await read(request, call, query)
        except (ServiceError, web.HTTPRequestEntityTooLarge) as error:
            if call.changes and call.needs != ANYONE:
                reason = error.reason if isinstance(error, ServiceError) else "http.body_too_large"
                self._auditor.denied(call, None, principal, reason)
            raise

    def _authorize(self, principal: Principal, call: Call[Any, Any]) -> None:
        try:
            authorize(principal, call)
        except ServiceError as error:
            if call.changes:
                self._auditor.denied(call, None, principal, error.reason)
            raise

    def _forward(self, call: Call[Any, Any]) -> Callable[[web.Request, Any, Principal], Awaitable[web.Response]]:
        status = call.http.status if call.http else 200

        async def forward(_: web.Request, message: Any, principal: Principal) -> web.Response:
            reply = await self._bus.call(call, message, principal=principal, timeout=CALL_TIMEOUT_S)
            return as_json(reply, status)

        return forward


def as_json(reply: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(reply), status=status, content_type="application/json")


async def read(request: web.Request, call: Call[Q, Any], query: reading.Query | None) -> Q:
    """The request's struct out of path and query, or of path and body if there is no reader for a query.

    Raises Invalid or NotFound, never anything else.
    """
    reading.check_query(request.rel_url.raw_query_string)
    named = reading.path(request.match_info, call.request)
    if query is not None:
        return reading.together(query.read(request.query.items()), named, call.request)
    if request.query:
        raise Invalid("http.unknown_field", "A write takes its fields in the body, none in the query.")
    data, filled = await _body(request, call), _idempotency(request, call)
    if len(data) > LARGE_BODY:
        return await asyncio.to_thread(reading.body, data, named, filled, call.request)
    return reading.body(data, named, filled, call.request)


async def _body(request: web.Request, call: Call[Any, Any]) -> bytes:
    charset = request.charset or "utf-8"
    if request.content_type != "application/json" or charset.lower() not in {"utf-8", "utf8"}:
        raise Invalid("http.unsupported_media_type", "Send the body as application/json in UTF-8.")
    data = await request.read()
    if call.needs == ANYONE and len(data) > STRANGERS_BODY:
        raise Invalid("http.body_too_large", f"The body is larger than {STRANGERS_BODY // 1024} KiB.")
    return data


def _idempotency(request: web.Request, call: Call[Any, Any]) -> dict[str, str]:
    key = request.headers.get(IDEMPOTENCY)
    known = key is not None and "idempotency_key" in call.request.__struct_fields__
    return {"idempotency_key": key} if known and key is not None else {}
