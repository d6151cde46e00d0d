"""May this principal make this call, and among which objects? One place for every way in.

The permission is asked before a handler runs; whether the very object lies in a scope is the handler's question,
since only it knows the object. One that does not is answered like one that does not exist.
"""

from collections.abc import Iterator
from typing import Any

from contracts.errors import Forbidden, Unauthenticated
from contracts.kinds import ANYONE, Call
from contracts.people import Principal
from contracts.permissions import (
    BOUND_SERVICES,
    EVERYBODY,
    EVERYTHING,
    INDIVISIBLE,
    PERMISSIONS,
    ROLES,
    SERVICES,
    Grant,
    Role,
    Scope,
)


class Undeclared(RuntimeError):
    """A call whose permission is declared nowhere; no process starts that would answer it or lead to it."""


def check_declared(call: Call[Any, Any]) -> None:
    """Raise Undeclared unless somebody decided who may make `call`."""
    if call.needs != ANYONE and call.needs not in PERMISSIONS:
        raise Undeclared(f"{call.subject} needs {call.needs!r}, which contracts/permissions.py does not declare")


def authorize(principal: Principal, call: Call[Any, Any]) -> None:
    """Raise Unauthenticated or Forbidden unless `principal` has the permission that `call` needs."""
    if call.needs == ANYONE:
        return
    if principal.kind == "anonymous":
        raise Unauthenticated("auth.required", "Nobody is logged in. Log in, or send an API token.")
    if not scopes(principal, call.needs):
        raise Forbidden(
            "auth.forbidden",
            f"{principal.name} may not do this: it needs {call.needs}. Ask an admin for a role that has it.",
        )


def scopes(principal: Principal, permission: str) -> tuple[Scope, ...]:
    """Where the principal has the permission: any one of these suffices, none means nowhere."""
    found = tuple(grant.scope for grant in granted(principal) if permission in grant.permissions)
    if EVERYTHING in found:
        return (EVERYTHING,)
    return () if permission in INDIVISIBLE else found


def bounds(principal: Principal) -> list[tuple[Scope, ...]]:
    """The scopes of each permission that the principal has."""
    held = sorted({permission for grant in granted(principal) for permission in grant.permissions})
    return [found for permission in held if (found := scopes(principal, permission))]


def granted(principal: Principal) -> Iterator[Grant]:
    """All that the principal may do. Of an integration, its credential says which calls; the broker reads that."""
    if principal.kind == "service":
        yield Grant(permissions=tuple(SERVICES.get(principal.name, ())))
        yield from BOUND_SERVICES.get(principal.name, ())
    elif principal.kind == "person":
        yield Grant(permissions=tuple(EVERYBODY))
        if not principal.limited:
            yield from (Grant(permissions=tuple(ROLES[Role(name)])) for name in principal.roles if name in ROLES)
        yield from principal.grants
    elif principal.kind == "integration":
        yield from principal.grants
