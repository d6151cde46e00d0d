"""Who may do what: permissions, the roles of people, and what each service may ask of the others.

Every permission that a call needs stands in PERMISSIONS; a test holds the two together.
"""

from enum import StrEnum

PERMISSIONS = {
    "hosts:read": "see hosts and what is known of them",
    "hosts:change": "change what people entered about hosts",
    "hosts:enrol": "make and withdraw join tokens, revoke hosts",
    "runs:read": "see runs, their results and output",
    "runs:start": "start and retry runs",
    "runs:stop": "stop runs",
    "people:manage": "create people, give roles, disable them",
    "integrations:manage": "give and revoke credentials of integrations",
    "tokens:own": "make and withdraw one's own API tokens",
}


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


_VIEWER = frozenset({"hosts:read", "runs:read", "tokens:own"})
_OPERATOR = _VIEWER | {"runs:start", "runs:stop", "hosts:change"}

ROLES: dict[Role, frozenset[str]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: frozenset(PERMISSIONS),
}

SERVICES: dict[str, frozenset[str]] = {
    "gateway": frozenset({"runs:read"}),
    "jobs": frozenset({"hosts:read", "runs:read"}),
    "resources": frozenset(),
}
"""What a service may ask in its own name. On behalf of a person the gateway sends that person along instead."""
