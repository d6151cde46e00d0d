"""What surrounds every request: one line in the log, one count, headers, and no exception that leaves unnamed."""

import time

import structlog
from aiohttp import ClientConnectionResetError, web
from aiohttp.typedefs import Handler, Middleware
from structlog.contextvars import bind_contextvars, clear_contextvars

from contracts.errors import ServiceError, Unavailable
from runtime.ids import trace_id
from runtime.mongo import ConnectionFailure
from services.gateway.edge import origin, problems
from services.gateway.metrics import Metrics

HTML_POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

log = structlog.get_logger()


def surrounding(metrics: Metrics) -> Middleware:
    @web.middleware
    async def surround(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        reference = trace_id()
        clear_contextvars()
        bind_contextvars(trace_id=reference)
        response = await _answered(request, handler, reference)
        seconds = time.perf_counter() - started
        route = _route(request)
        method = request.method if request.method in METHODS else "other"
        metrics.requests.labels(method, route, str(response.status)).inc()
        if response.content_type != "text/event-stream":
            metrics.seconds.labels(route).observe(seconds)
        log.info(
            "http.answered",
            method=method,
            route=route,
            status=response.status,
            ms=round(seconds * 1000, 1),
            address=request.remote,
        )
        return response

    return surround


async def _answered(request: web.Request, handler: Handler, reference: str) -> web.StreamResponse:
    try:
        origin.check(request)
        return await handler(request)
    except ServiceError as error:
        bind_contextvars(reason=error.reason)
        return problems.respond(error, reference)
    except web.HTTPException as error:
        response = problems.respond(problems.of_http(error), reference)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except web.RequestPayloadError:  # a body that is not what its encoding or length says
        return problems.respond(problems.of_http(web.HTTPBadRequest()), reference)
    except ConnectionFailure:
        return problems.respond(Unavailable("storage.away", "The database does not answer; try again."), reference)
    except ClientConnectionResetError:
        raise  # nobody is there to read an answer
    except Exception:
        log.exception("http.crashed")
        return problems.respond(ServiceError(), reference)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """For the signal on_response_prepare, which streams pass too."""
    set_headers(response, secure=request.secure)


def set_headers(response: web.StreamResponse, *, secure: bool) -> None:
    html = response.content_type in {"text/html", "text/css"}
    headers = response.headers
    headers["Server"] = "drover"
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Content-Security-Policy"] = HTML_POLICY if html else DATA_POLICY
    headers.setdefault("Cache-Control", "no-store")
    if secure:
        headers["Strict-Transport-Security"] = "max-age=31536000"


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"
