"""One connection of a browser or program: what is no HTTP is refused in the words of every other refusal."""

import structlog
from aiohttp import web

from contracts.errors import ServiceError
from runtime.ids import trace_id
from services.gateway.edge import problems
from services.gateway.edge.middleware import set_headers

log = structlog.get_logger()


class Connection(web.RequestHandler):
    """aiohttp's own, but for what it says of a request that its parser refuses: that never gets to a route."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        super().handle_error(request, status, exc, message)  # ends the connection where an answer is half sent
        error = problems.of_http(web.HTTPBadRequest()) if status == 400 else ServiceError()
        reference = trace_id()
        log.info("http.unreadable", trace_id=reference, reason=error.reason, address=request.remote)
        response = problems.respond(error, reference)
        set_headers(response, secure=request.secure)
        response.force_close()
        return response
