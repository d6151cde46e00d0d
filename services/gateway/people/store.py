"""People in MongoDB: collection `people`, keyed by name."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from contracts.errors import Conflict, NotFound
from contracts.permissions import Role
from runtime.mongo import Database, Document, DuplicateKeyError, Session
from runtime.names import Kept
from runtime.revisions import Fields, Revisions, fields, marks
from services.gateway.people.model import KnownPerson


class PeopleStore:
    def __init__(self, database: Database) -> None:
        self._people = database["people"]
        self.names = Kept.ids_of(self._people)
        self._revisions = Revisions(self._people, "person.changed_meanwhile", "{}", _shown)

    async def prepare(self) -> None:
        await self._people.create_index([("roles", 1), ("disabled", 1)])

    async def add(self, person: KnownPerson, session: Session) -> None:
        """Raises Conflict if the name is taken."""
        try:
            await self._people.insert_one(_document(person), session=session)
        except DuplicateKeyError:
            raise Conflict("person.exists", f"There is somebody called {person.name} already.") from None

    async def anybody(self) -> bool:
        return await self._people.find_one({}, {"_id": 1}) is not None

    async def find(self, name: str) -> KnownPerson | None:
        document = await self._people.find_one({"_id": name})
        return None if document is None else _person(document)

    async def get(self, name: str) -> KnownPerson:
        """Raises NotFound."""
        person = await self.find(name)
        if person is None:
            raise _nobody(name)
        return person

    async def page(self, after: str, limit: int) -> list[KnownPerson]:
        cursor = self._people.find({"_id": {"$gt": after}}).sort("_id", 1).limit(limit)
        return [_person(document) async for document in cursor]

    async def change(
        self,
        name: str,
        seen: int | None,
        change: Callable[[KnownPerson], KnownPerson],
        *,
        by: str,
        at: datetime,
        session: Session,
    ) -> tuple[KnownPerson, KnownPerson]:
        """The person before and after; a change that changes nothing is none.

        Raises NotFound, and Conflict if somebody was faster.
        """
        document = await self._people.find_one({"_id": name}, session=session)
        if document is None:
            raise _nobody(name)
        await self._revisions.check(seen, document["revision"], name, session)
        before = _person(document)
        after = change(before)
        if after == before:
            return before, before
        after = replace(after, revision=before.revision + 1, changed_by=by, changed_at=at)
        await self._people.update_one(
            {"_id": name}, self._revisions.update(document, _document(after)), session=session
        )
        return before, after

    async def anybody_with(self, role: str, session: Session) -> str | None:
        """Somebody's name, if anybody has the role, disabled or not."""
        document = await self._people.find_one({"roles": role}, {"_id": 1}, session=session)
        return None if document is None else str(document["_id"])

    async def any_admin(self, session: Session) -> bool:
        which = {"roles": Role.ADMIN.value, "disabled": False}
        return await self._people.find_one(which, {"_id": 1}, session=session) is not None

    async def strengthen(self, name: str, old: str, new: str) -> None:
        """Keep a stronger hash of the same password, unless the password changed meanwhile."""
        await self._people.update_one({"_id": name, "password_hash": old}, {"$set": {"password_hash": new}})


def _nobody(name: str) -> NotFound:
    return NotFound("person.unknown", f"There is nobody called {name}.")


def _shown(document: Document) -> Fields:
    """`version` counts for ourselves only."""
    return {name: value for name, value in fields(document).items() if name != "version"}


def _document(person: KnownPerson) -> Document:
    return {
        "_id": person.name,
        "password_hash": person.password_hash,
        "roles": [str(role) for role in person.roles],
        "created_at": person.created_at,
        "disabled": person.disabled,
        "version": person.version,
        **marks(person.revision, person.changed_by, person.changed_at),
    }


def _person(document: Document) -> KnownPerson:
    return KnownPerson(
        name=document["_id"],
        password_hash=document["password_hash"],
        roles=tuple(document["roles"]),
        created_at=document["created_at"],
        disabled=document["disabled"],
        version=document["version"],
        revision=document["revision"],
        changed_by=document["changed_by"],
        changed_at=document["changed_at"],
    )
