"""Roles that people define: which permissions, and among which objects. Kept by the gateway.

The built-in ones (viewer, operator, admin) are constants of contracts/permissions.py and hold everywhere.
"""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from contracts.kinds import Call, delete, get, post
from contracts.people import Name, PageSize
from contracts.permissions import EVERYTHING, Scope

Permissions = Annotated[tuple[str, ...], Meta(min_length=1, max_length=100)]
Description = Annotated[str, Meta(max_length=500)]


class RoleDefinition(Struct, frozen=True, kw_only=True):
    name: str
    permissions: tuple[str, ...]
    scope: Scope
    description: str = ""
    built_in: bool = False
    revision: int = 0
    """0 of a built-in role: nobody can change it."""
    changed_by: str = ""
    changed_at: datetime | None = None


class RoleRef(Struct, frozen=True, kw_only=True):
    name: Name


class CreateRole(Struct, frozen=True, kw_only=True):
    """Who has the role has its permissions among the objects that lie in its scope."""

    name: Name
    permissions: Permissions
    scope: Scope = EVERYTHING
    description: Description = ""


class ChangeRole(Struct, frozen=True, kw_only=True):
    """Fields left out stay as they are. With `revision` the change is refused if somebody else was faster."""

    name: Name
    revision: int | None = None
    permissions: Permissions | UnsetType = UNSET
    scope: Scope | UnsetType = UNSET
    """The whole new scope: a bound left out of it is no bound any more."""
    description: Description | UnsetType = UNSET


class ListRoles(Struct, frozen=True, kw_only=True):
    after: str = ""
    limit: PageSize = 100


class Roles(Struct, frozen=True, kw_only=True):
    """Built-in and custom ones, sorted by name."""

    roles: list[RoleDefinition]
    next: str = ""


list_roles = Call(
    "gateway.roles.list",
    ListRoles,
    Roles,
    needs="people:manage",
    http=get("/roles"),
    idempotent=True,
    summary="List roles",
)
show_role = Call(
    "gateway.roles.show",
    RoleRef,
    RoleDefinition,
    needs="people:manage",
    http=get("/roles/{name}"),
    idempotent=True,
    summary="Show a role",
)
create_role = Call(
    "gateway.roles.create",
    CreateRole,
    RoleDefinition,
    needs="people:manage",
    http=post("/roles", status=201),
    summary="Define a role",
)
change_role = Call(
    "gateway.roles.change",
    ChangeRole,
    RoleDefinition,
    needs="people:manage",
    http=post("/roles/{name}"),
    summary="Change a role; it counts from the next request on",
)
delete_role = Call(
    "gateway.roles.delete",
    RoleRef,
    RoleDefinition,
    needs="people:manage",
    http=delete("/roles/{name}"),
    summary="Delete a role that nobody has",
)
