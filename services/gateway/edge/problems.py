"""Errors as application/problem+json (RFC 9457). The status belongs to the reason; see contracts/reasons.py."""

import math
from typing import Any

import msgspec
from aiohttp import web

from contracts.errors import Invalid, NotFound, ServiceError
from contracts.reasons import REASONS

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "retry_after_s"
"""The detail that becomes the header Retry-After."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    """Where the reason is explained."""
    title: str
    status: int
    detail: str
    reason: str
    """Stable; programs act on this one."""
    details: dict[str, Any]
    reference: str
    """The line of the log that belongs to this."""


def too_many(retry_after_s: float) -> Invalid:
    return wait("http.too_many_requests", "Too many attempts", retry_after_s)


def wait(reason: str, why: str, retry_after_s: float) -> Invalid:
    """The refusal of what may come again later."""
    seconds = max(1, math.ceil(retry_after_s))
    return Invalid(reason, f"{why}; wait {seconds} seconds.", {RETRY_AFTER: seconds})


def of_http(error: web.HTTPException) -> ServiceError:
    """What aiohttp itself refuses, in our words."""
    if error.status == 404:
        return NotFound("http.not_found", "There is nothing at this address; /api/docs lists what there is.")
    if error.status == 405:
        return Invalid("http.method_not_allowed", "This address does not take that method.")
    if error.status == 413:
        return Invalid("http.body_too_large", "The body is larger than 1 MiB.")
    return Invalid("http.malformed", "The HTTP request cannot be read.")


def respond(error: ServiceError, reference: str) -> web.Response:
    row = REASONS.get(error.reason, REASONS["internal"])
    problem = Problem(
        type=f"/api/docs#{error.reason}",
        title=row.meaning,
        status=row.status,
        detail=error.message,
        reason=error.reason,
        details=error.details,
        reference=reference,
    )
    response = web.Response(body=msgspec.json.encode(problem), status=row.status, content_type=MEDIA_TYPE)
    if RETRY_AFTER in error.details:
        response.headers["Retry-After"] = str(error.details[RETRY_AFTER])
    return response
