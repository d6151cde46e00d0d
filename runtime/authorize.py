"""May this principal make this call? Asked where the call is answered, in one place for every way in."""

from typing import Any

from contracts.errors import Forbidden, Unauthenticated
from contracts.kinds import ANYONE, Call
from contracts.people import Principal
from contracts.permissions import ROLES, SERVICES


def authorize(principal: Principal, call: Call[Any, Any]) -> None:
    """Raise Unauthenticated or Forbidden unless `principal` has the permission that `call` needs."""
    if call.needs == ANYONE:
        return
    if principal.kind == "anonymous":
        raise Unauthenticated("auth.required", "Nobody is logged in. Log in, or send an API token.")
    if call.needs not in permissions(principal, call):
        raise Forbidden(
            "auth.forbidden",
            f"{principal.name} may not do this: it needs {call.needs}. Ask an admin for a role that has it.",
        )


def permissions(principal: Principal, call: Call[Any, Any]) -> frozenset[str]:
    if principal.kind == "person":
        return frozenset().union(*(ROLES[role] for role in principal.roles))
    if principal.kind == "service":
        return SERVICES.get(principal.name, frozenset())
    # An integration's credential lists the subjects it may publish, so what reached us was granted by name.
    return frozenset({call.needs})
