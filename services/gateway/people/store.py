"""People in MongoDB: collection `people`, keyed by name. `people_guard` has one document, see `disable`."""

import contextlib

from contracts.errors import Conflict, NotFound
from contracts.permissions import Role
from runtime.mongo import Database, Document, DuplicateKeyError, Session, together
from services.gateway.people.model import KnownPerson

_GUARD = "admins"


class PeopleStore:
    def __init__(self, database: Database) -> None:
        self._people = database["people"]
        self._guard = database["people_guard"]
        self._database = database

    async def prepare(self) -> None:
        """The guard must be there: two who insert it at once do not wait for each other, they collide."""
        with contextlib.suppress(DuplicateKeyError):
            await self._guard.insert_one({"_id": _GUARD, "changes": 0})

    async def add(self, person: KnownPerson) -> None:
        """Raises Conflict if the name is taken."""
        try:
            await self._people.insert_one(_document(person))
        except DuplicateKeyError:
            raise Conflict("person.exists", f"There is somebody called {person.name} already.") from None

    async def anybody(self) -> bool:
        return await self._people.find_one({}, {"_id": 1}) is not None

    async def find(self, name: str) -> KnownPerson | None:
        document = await self._people.find_one({"_id": name})
        return None if document is None else _person(document)

    async def page(self, after: str, limit: int) -> list[KnownPerson]:
        cursor = self._people.find({"_id": {"$gt": after}}).sort("_id", 1).limit(limit)
        return [_person(document) async for document in cursor]

    async def set_password_hash(self, name: str, old: str, new: str) -> None:
        """Keep a stronger hash of the same password, unless the password changed meanwhile."""
        await self._people.update_one({"_id": name, "password_hash": old}, {"$set": {"password_hash": new}})

    async def disable(self, name: str) -> KnownPerson:
        """Raises NotFound, and Conflict if this is the last admin.

        Two admins who disable each other at the same moment both write the guard, so one of them waits and looks again.
        """
        return await together(self._database, lambda session: self._disable(name, session))

    async def _disable(self, name: str, session: Session) -> KnownPerson:
        await self._guard.update_one({"_id": _GUARD}, {"$inc": {"changes": 1}}, session=session)
        document = await self._people.find_one({"_id": name}, session=session)
        if document is None:
            raise NotFound("person.unknown", f"There is nobody called {name}.")
        if document["disabled"]:
            return _person(document)
        others = {"_id": {"$ne": name}, "roles": Role.ADMIN.value, "disabled": False}
        if Role.ADMIN in document["roles"] and await self._people.find_one(others, session=session) is None:
            raise Conflict("person.last_admin", f"{name} is the last admin, and somebody must be able to add people.")
        change = {"$set": {"disabled": True}, "$inc": {"version": 1}}
        await self._people.update_one({"_id": name}, change, session=session)
        return _person({**document, "disabled": True, "version": document["version"] + 1})


def _document(person: KnownPerson) -> Document:
    return {
        "_id": person.name,
        "password_hash": person.password_hash,
        "roles": [role.value for role in person.roles],
        "created_at": person.created_at,
        "disabled": person.disabled,
        "version": person.version,
    }


def _person(document: Document) -> KnownPerson:
    return KnownPerson(
        name=document["_id"],
        password_hash=document["password_hash"],
        roles=tuple(Role(role) for role in document["roles"]),
        created_at=document["created_at"],
        disabled=document["disabled"],
        version=document["version"],
    )
