"""The two shapes of traffic: a call that is answered, and an event that is not."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Q = TypeVar("Q")
R = TypeVar("R")

ANYONE = "anyone"
"""The permission of calls that need no login; their request carries its own proof (a join token, a signature)."""

NO_ROUTE = None


@dataclass(frozen=True)
class Route:
    """Where HTTP reaches a call, below /api/v1. `{name}` in the path fills the request's field of that name."""

    method: str
    path: str
    status: int = 200


def get(path: str) -> Route:
    return Route("GET", path)


def post(path: str, *, status: int = 200) -> Route:
    return Route("POST", path, status)


def put(path: str) -> Route:
    return Route("PUT", path)


def delete(path: str) -> Route:
    return Route("DELETE", path)


@dataclass(frozen=True)
class Call(Generic[Q, R]):
    """One operation, declared once.

    `subject` is what follows `svc.<caller>.`; its first token is the answering service. `needs` is the permission
    checked where the call is answered. A call without `http` is for services and integrations only.
    `idempotent` calls may be sent again by whoever got no answer. `reads` marks a call that changes nothing although
    it is no GET, since its question is too large for an address. `conceals` names fields of the request that the audit
    trail must not show although their names do not say so; see contracts/redaction.py.
    """

    subject: str
    request: type[Q]
    reply: type[R]
    needs: str
    http: Route | None = None
    idempotent: bool = False
    reads: bool = False
    conceals: tuple[str, ...] = ()
    summary: str = ""

    @property
    def service(self) -> str:
        return self.subject.split(".", 1)[0]

    @property
    def changes(self) -> bool:
        """Whether it has an effect that people may ask about later."""
        return not self.reads and (self.http is None or self.http.method != "GET")


@dataclass(frozen=True)
class Event(Generic[Q]):
    """Something that happened: published on `evt.<service>.<kind>.<id>` and kept in the EVENTS stream.

    `key` names the message's field that becomes <id>.
    """

    service: str
    kind: str
    message: type[Q]
    key: str
