"""One host's whole output as a text file, however long it is."""

import structlog
from aiohttp import web
from msgspec import Struct

from contracts import runs
from contracts.errors import ServiceError
from contracts.hosts import Token
from contracts.kinds import Call, get
from contracts.people import Principal
from runtime.bus import Bus
from services.gateway.routes import CALL_TIMEOUT_S, Page

log = structlog.get_logger()

PIECE_BYTES = 128 * 1024
"""JSON may write one byte as six, and one message on the bus holds 900 KiB."""


class HostOutput(Struct, frozen=True, kw_only=True):
    run: Token
    host: Token


download = Call(
    "gateway.output.download",
    HostOutput,
    str,
    needs=runs.read_output.needs,
    http=get("/runs/{run}/hosts/{host}/output.txt"),
    idempotent=True,
    summary="One host's whole output as a text file",
)


def pages(bus: Bus) -> list[Page]:
    async def read(wanted: HostOutput, offset: int, principal: Principal) -> runs.Output:
        question = runs.ReadOutput(run=wanted.run, host=wanted.host, offset=offset, limit=PIECE_BYTES)
        return await bus.call(runs.read_output, question, principal=principal, timeout=CALL_TIMEOUT_S)

    async def handle(request: web.Request, wanted: HostOutput, principal: Principal) -> web.StreamResponse:
        piece = await read(wanted, 0, principal)  # before the headers: its refusal is a proper answer
        name = f"{wanted.run}-{wanted.host}.txt"
        response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{name}"'})
        response.content_type, response.charset = "text/plain", "utf-8"
        await response.prepare(request)
        # What is stored when the download begins is what it holds; a running script could write for ever.
        end = piece.stored_bytes
        try:
            while piece.text:
                await response.write(piece.text.encode())
                if piece.next_offset >= end:
                    break
                piece = await read(wanted, piece.next_offset, principal)
        except ServiceError as error:
            log.warning("download.broken", run=wanted.run, host=wanted.host, reason=error.reason)
            if request.transport is not None:
                request.transport.abort()  # half a file must not look like a whole one
        return response

    return [Page(download, handle, media_type="text/plain")]
