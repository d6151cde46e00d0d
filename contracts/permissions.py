"""Who may do what: permissions, the roles of people, and what each service may ask of the others.

Every permission that a call needs stands in PERMISSIONS; a test holds the two together.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

PERMISSIONS = {
    "hosts:read": "see hosts and what is known of them",
    "hosts:change": "change what people entered about hosts",
    "hosts:enrol": "make and withdraw join tokens, revoke hosts",
    "hosts:import": "import hosts, define sources and collectors",
    "topology:change": "define businesses, IDCs, rooms, racks, sets and custom attributes",
    "groups:read": "see groups and who is in them",
    "groups:change": "define groups",
    "accounts:read": "see the accounts that scripts may run as",
    "accounts:change": "define accounts and who may use them",
    "scripts:read": "see stored scripts",
    "scripts:change": "write and clone user scripts",
    "scripts:vet": "write system scripts, put scripts online and retire them",
    "files:read": "see and download files of the depot",
    "files:change": "upload, register and delete files of the depot",
    "variables:read": "see variables, secret ones masked",
    "variables:change": "set variables",
    "variables:resolve": "get the values for a host, secret ones too; for services",
    "integrations:ask": "ask what bounds a program; for services",
    "names:ask": "ask what exists by a name, and what names it; for services",
    "templates:read": "see and preview templates",
    "templates:change": "write templates",
    "runs:read": "see runs, their results and output",
    "runs:start": "start and retry runs",
    "runs:stop": "stop runs",
    "audit:read": "see, export and verify the audit trail",
    "people:manage": "create people, give roles, disable them",
    "integrations:manage": "give and revoke credentials of integrations",
    "tokens:own": "make and withdraw one's own API tokens",
    "self:manage": "see who one is, log out, see and end one's own sessions, change one's own password",
}


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


EVERYBODY = frozenset({"self:manage"})
"""What every person may, whatever their roles."""

_VIEWER = EVERYBODY | frozenset(
    {
        "hosts:read",
        "runs:read",
        "tokens:own",
        "groups:read",
        "accounts:read",
        "scripts:read",
        "files:read",
        "variables:read",
        "templates:read",
    }
)
_OPERATOR = _VIEWER | {
    "runs:start",
    "runs:stop",
    "hosts:change",
    "groups:change",
    "scripts:change",
    "files:change",
    "variables:change",
    "templates:change",
}
_FOR_SERVICES = frozenset({"variables:resolve", "names:ask", "integrations:ask"})

ROLES: dict[Role, frozenset[str]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: frozenset(PERMISSIONS) - _FOR_SERVICES,
}

INDIVISIBLE = frozenset({"people:manage", "integrations:manage", "audit:read", "topology:change", "hosts:import"})
"""What nobody can have within bounds, since what it is about lies in no scope: people, programs, the trail of what
everybody did, places and attributes that belong to all, an import that decides over all hosts."""

OF_PROGRAMS = frozenset(PERMISSIONS) - _FOR_SERVICES
"""What integrations may, as far as their credentials name the calls, within their scope."""

SERVICES: dict[str, frozenset[str]] = {
    "gateway": frozenset({"audit:read", "runs:read", "names:ask", "integrations:ask"}),
    "jobs": frozenset(
        {
            "hosts:read",
            "runs:read",
            "groups:read",
            "accounts:read",
            "scripts:read",
            "files:read",
            "variables:resolve",
            "integrations:ask",
        }
    ),
    "resources": frozenset({"groups:read", "runs:read", "scripts:read", "accounts:read", "names:ask"}),
    "config": frozenset({"hosts:read", "groups:read", "names:ask", "integrations:ask"}),
}
"""What a service may ask in its own name. On behalf of a person the gateway sends that person along instead."""

Names = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...], Meta(max_length=64)]


class Scope(Struct, frozen=True, kw_only=True):
    """Among which objects a grant holds. A field that is None sets no bound; the bounds that are set hold together.

    Hosts lie in a scope by their business and groups, runs by their hosts and account, stored scripts by their tags.
    """

    businesses: Names | None = None
    groups: Names | None = None
    accounts: Names | None = None
    script_tags: Names | None = None


EVERYTHING = Scope()


class Grant(Struct, frozen=True, kw_only=True):
    permissions: tuple[str, ...]
    scope: Scope = EVERYTHING


COLLECTOR_TAG = "collector"
"""Of stored scripts that may be collectors of virtual resources."""

BOUND_SERVICES: dict[str, tuple[Grant, ...]] = {
    "resources": (Grant(permissions=("runs:start",), scope=Scope(script_tags=(COLLECTOR_TAG,))),),
}
"""What a service may ask in its own name within bounds: whoever took over the resources service could start collectors
that somebody vetted, and nothing else."""
