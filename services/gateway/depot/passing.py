"""Of a gateway without the depot's folder: requests that need it are passed on to the one that has it, as they come."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web

from contracts.errors import Unavailable
from contracts.people import Principal

BLOCK_BYTES = 256 * 1024
ASKED = ("Authorization", "Cookie", "Content-Type", "Range", "If-Range")
SAID = (
    "Content-Type",
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "Accept-Ranges",
    "ETag",
    "Last-Modified",
)
SILENT_S = 300

Handle = Callable[[web.Request, Any, Principal], Awaitable[web.StreamResponse]]


class Passing:
    """`to` is the other gateway's address; empty: there is none, and each request is refused."""

    def __init__(self, to: str) -> None:
        self._to = to.rstrip("/")

    async def handle(self, request: web.Request, _: Any, __: Principal) -> web.StreamResponse:
        """The other gateway authenticates by itself: what the person sent is sent on."""
        if not self._to:
            raise Unavailable(
                "depot.none",
                "This gateway has no depot: set GATEWAY_DEPOT here, or GATEWAY_DEPOT_AT to the one that has.",
            )
        headers = {name: request.headers[name] for name in ASKED if name in request.headers}
        data, url = await _body(request), self._to + request.raw_path
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as http,
                http.request(request.method, url, headers=headers, data=data, allow_redirects=False) as answer,
            ):
                return await _passed_back(request, answer)
        except (aiohttp.ClientConnectionError, TimeoutError) as error:
            raise Unavailable("depot.away", "The gateway that has the depot does not answer. Try again.") from error


async def _body(request: web.Request) -> AsyncIterator[bytes] | bytes | None:
    """JSON was read already, and reading it again gives the same; bytes stream."""
    if request.content_type == "application/json":
        return await request.read()
    return request.content.iter_chunked(BLOCK_BYTES) if request.can_read_body else None


async def _passed_back(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status)
    response.headers.update({name: answer.headers[name] for name in SAID if name in answer.headers})
    await response.prepare(request)
    try:
        async for block in answer.content.iter_chunked(BLOCK_BYTES):
            await response.write(block)
        await response.write_eof()
    except aiohttp.ClientError:
        if request.transport is not None:
            request.transport.abort()  # half a file must not look like a whole one
    return response
