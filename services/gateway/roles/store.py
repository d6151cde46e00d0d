"""Custom roles in MongoDB: collection `roles`, keyed by name."""

from collections.abc import Callable, Collection
from datetime import datetime

import msgspec

from contracts.errors import Conflict, Invalid, NotFound
from contracts.names import NameKind
from contracts.permissions import Grant, Scope
from contracts.roles import RoleDefinition
from runtime.mongo import Database, Document, DuplicateKeyError, Session
from runtime.names import Kept
from runtime.revisions import Revisions
from runtime.scopes import NAMED
from services.gateway.roles.model import BUILT_IN


class RoleStore:
    def __init__(self, database: Database) -> None:
        self._roles = database["roles"]
        self.names = Kept.ids_of(self._roles)
        self._revisions = Revisions(self._roles, "role.changed_meanwhile", "the role {}")

    async def prepare(self) -> None:
        for field in NAMED.values():
            await self._roles.create_index(f"scope.{field}")

    async def naming(self, kind: NameKind, name: str) -> list[str]:
        """Roles with the name in their scope."""
        found = self._roles.find({f"scope.{NAMED[kind]}": name}, {"_id": 1})
        return sorted([each["_id"] async for each in found])

    async def add(self, role: RoleDefinition) -> None:
        """Raises Conflict if the name is taken."""
        try:
            await self._roles.insert_one(_document(role))
        except DuplicateKeyError:
            raise Conflict("role.exists", f"There is a role called {role.name} already.") from None

    async def get(self, name: str) -> RoleDefinition:
        """Raises NotFound."""
        return _role(await self._find(name))

    async def page(self, after: str, limit: int) -> list[RoleDefinition]:
        cursor = self._roles.find({"_id": {"$gt": after}}).sort("_id", 1).limit(limit)
        return [_role(document) async for document in cursor]

    async def grants(self, names: Collection[str]) -> tuple[Grant, ...]:
        """What the custom ones among these roles allow, as it stands now."""
        custom = [name for name in names if name not in BUILT_IN]
        if not custom:
            return ()
        cursor = self._roles.find({"_id": {"$in": custom}}).sort("_id", 1)
        roles = [_role(document) async for document in cursor]
        return tuple(Grant(permissions=role.permissions, scope=role.scope) for role in roles)

    async def check(self, names: Collection[str], session: Session) -> None:
        """Raises Invalid unless all these roles exist."""
        custom = [name for name in names if name not in BUILT_IN]
        found = {d["_id"] async for d in self._roles.find({"_id": {"$in": custom}}, {"_id": 1}, session=session)}
        if unknown := [name for name in custom if name not in found]:
            raise Invalid("person.unknown_role", f"There is no role called {unknown[0]}.", {"unknown": unknown})

    async def change(
        self, name: str, seen: int | None, change: Callable[[RoleDefinition], RoleDefinition], *, by: str, at: datetime
    ) -> RoleDefinition:
        """The role after the change. Raises NotFound, and Conflict if somebody was faster."""
        now = await self._find(name)
        await self._revisions.check(seen, now["revision"], name)
        changed = change(_role(now))
        after = msgspec.structs.replace(changed, revision=now["revision"] + 1, changed_by=by, changed_at=at)
        which = {"_id": name, "revision": now["revision"]}
        if not (await self._roles.update_one(which, self._revisions.update(now, _document(after)))).matched_count:
            raise await self._revisions.moved_on(now["revision"], name)
        return after

    async def remove(self, name: str, session: Session) -> RoleDefinition:
        """The role that was. Raises NotFound."""
        document = await self._roles.find_one_and_delete({"_id": name}, session=session)
        if document is None:
            raise _unknown(name)
        return _role(document)

    async def _find(self, name: str) -> Document:
        document = await self._roles.find_one({"_id": name})
        if document is None:
            raise _unknown(name)
        return document


def _unknown(name: str) -> NotFound:
    return NotFound("role.unknown", f"There is no role called {name}.")


def _document(role: RoleDefinition) -> Document:
    return {
        "_id": role.name,
        "permissions": list(role.permissions),
        "scope": msgspec.to_builtins(role.scope),
        "description": role.description,
        "revision": role.revision,
        "changed_by": role.changed_by,
        "changed_at": role.changed_at,
    }


def _role(document: Document) -> RoleDefinition:
    return RoleDefinition(
        name=document["_id"],
        permissions=tuple(document["permissions"]),
        scope=msgspec.convert(document["scope"], Scope),
        description=document["description"],
        revision=document["revision"],
        changed_by=document["changed_by"],
        changed_at=document["changed_at"],
    )
