"""What can be done with roles. Each public method is one use case."""

from datetime import UTC, datetime

import msgspec
import structlog
from msgspec import UNSET

from contracts.errors import Conflict
from contracts.names import NameKind, NameRef, NameUses
from contracts.people import Principal
from contracts.permissions import EVERYTHING
from contracts.roles import ChangeRole, CreateRole, ListRoles, RoleDefinition, RoleRef
from contracts.roles import Roles as RolesPage
from runtime.mongo import Session
from runtime.names import Names
from runtime.scopes import added
from services.gateway.guard import Guard
from services.gateway.people.store import PeopleStore
from services.gateway.roles import model
from services.gateway.roles.store import RoleStore

log = structlog.get_logger()


class Roles:
    def __init__(self, store: RoleStore, people: PeopleStore, guard: Guard, names: Names) -> None:
        self._store, self._people, self._guard, self._names = store, people, guard, names

    async def list(self, request: ListRoles, _: Principal) -> RolesPage:
        custom = await self._store.page(request.after, request.limit)
        found = model.page(custom, request.after, request.limit)
        return RolesPage(roles=found, next=found[-1].name if len(found) == request.limit else "")

    async def show(self, request: RoleRef, _: Principal) -> RoleDefinition:
        return model.BUILT_IN.get(request.name) or await self._store.get(request.name)

    async def uses(self, request: NameRef, _: Principal) -> NameUses:
        return NameUses(uses=tuple(f"the role {name}" for name in await self._store.naming(request.kind, request.name)))

    async def create(self, request: CreateRole, principal: Principal) -> RoleDefinition:
        if request.name in model.BUILT_IN:
            raise Conflict("role.exists", f"There is a built-in role called {request.name}.")
        model.check(request.permissions, request.scope)
        await self._names.check(added(EVERYTHING, request.scope), principal)
        role = RoleDefinition(
            name=request.name,
            permissions=tuple(sorted(set(request.permissions))),
            scope=request.scope,
            description=request.description,
            revision=1,
            changed_by=principal.name,
            changed_at=datetime.now(UTC),
        )
        await self._store.add(role)
        log.info("role.created", role=role.name, by=principal.name)
        return role

    async def change(self, request: ChangeRole, principal: Principal) -> RoleDefinition:
        _refuse_built_in(request.name)
        if request.scope is not UNSET:
            model.check((), request.scope)
            before = await self._store.get(request.name)
            await self._names.check(added(before.scope, request.scope), principal)

        def change(before: RoleDefinition) -> RoleDefinition:
            permissions = before.permissions if request.permissions is UNSET else request.permissions
            scope = before.scope if request.scope is UNSET else request.scope
            model.check(permissions, scope)
            return msgspec.structs.replace(
                before,
                permissions=tuple(sorted(set(permissions))),
                scope=scope,
                description=before.description if request.description is UNSET else request.description,
            )

        now = datetime.now(UTC)
        changed = await self._store.change(request.name, request.revision, change, by=principal.name, at=now)
        log.info("role.changed", role=changed.name, by=principal.name)
        return changed

    async def delete(self, request: RoleRef, principal: Principal) -> RoleDefinition:
        _refuse_built_in(request.name)
        if uses := await self._names.uses(NameKind.ROLE, request.name):
            raise Conflict("role.in_use", f"{request.name} is named by {', '.join(uses)}. Take it out of there first.")

        async def work(session: Session) -> RoleDefinition:
            role = await self._store.remove(request.name, session)
            if somebody := await self._people.anybody_with(request.name, session):
                raise Conflict("role.in_use", f"{somebody} has the role {request.name}; take it from everybody first.")
            return role

        gone = await self._guard.alone(work)
        log.info("role.deleted", role=gone.name, by=principal.name)
        return gone


def _refuse_built_in(name: str) -> None:
    if name in model.BUILT_IN:
        raise Conflict("role.built_in", f"{name} is a built-in role; those stay as they are.")
