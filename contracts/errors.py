"""Every way a call can fail, as the caller sees it.

Kinds are few on purpose: a new kind is worth adding only when some caller acts on it differently. The precise case is
the `reason`, which is stable and listed in `contracts/reasons.py`; the HTTP status belongs to the reason, since one
kind has several (a body that is too large and a field of a wrong type are both Invalid).
"""

from typing import Any, ClassVar


class ServiceError(Exception):
    """The answering service failed, and the cause is ours. What happened stays in its log, under `ref`."""

    code: ClassVar[int] = 500

    def __init__(
        self,
        reason: str = "internal",
        message: str = "Something failed on our side; the log of the service has it under this reference.",
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.details = details or {}


class Invalid(ServiceError):
    """The request can never succeed as written."""

    code = 400


class Unauthenticated(ServiceError):
    """Nobody knows who is asking."""

    code = 401


class Forbidden(ServiceError):
    """The caller is known and may not do this."""

    code = 403


class NotFound(ServiceError):
    """Nothing by that name, or nothing that the caller may see."""

    code = 404


class Conflict(ServiceError):
    """The request is right but the state of the thing forbids it now."""

    code = 409


class Unavailable(ServiceError):
    """Nobody answered, or the answerer is overloaded. Safe to try again."""

    code = 503


BY_CODE: dict[int, type[ServiceError]] = {
    kind.code: kind for kind in (Invalid, Unauthenticated, Forbidden, NotFound, Conflict, Unavailable, ServiceError)
}
