"""Sessions and failed logins in MongoDB, which forgets both by itself (TTL indexes)."""

from datetime import datetime

from runtime.ids import secret
from runtime.mongo import Database, Document
from services.gateway.people.model import KnownPerson
from services.gateway.sessions.model import FAILURES_WITHIN, IDLE, Session


class SessionStore:
    def __init__(self, database: Database) -> None:
        self._sessions = database["sessions"]

    async def prepare(self) -> None:
        await self._sessions.create_index("expires_at", expireAfterSeconds=0)
        await self._sessions.create_index([("person", 1), ("id", 1)])

    async def add(self, session: Session) -> None:
        await self._sessions.insert_one(_document(session))

    async def find(self, key: str) -> Session | None:
        document = await self._sessions.find_one({"_id": key})
        return None if document is None else _session(document)

    async def seen(self, key: str, at: datetime) -> None:
        await self._sessions.update_one({"_id": key}, {"$max": {"seen_at": at}})

    async def page(self, person: KnownPerson, now: datetime, after: str, limit: int) -> list[Session]:
        """Those that are not over, sorted by id."""
        which = {
            "person": person.name,
            "id": {"$gt": after},
            "version": person.version,
            "expires_at": {"$gt": now},
            "seen_at": {"$gt": now - IDLE},
        }
        cursor = self._sessions.find(which).sort("id", 1).limit(limit)
        return [_session(document) async for document in cursor]

    async def go_on(self, person: KnownPerson, id_: str) -> None:
        """Let this session outlive what ended the person's others."""
        await self._sessions.update_one({"person": person.name, "id": id_}, {"$set": {"version": person.version}})

    async def remove(self, key: str) -> None:
        await self._sessions.delete_one({"_id": key})

    async def revoke(self, person: str, id_: str) -> bool:
        """Whether the person had it."""
        return (await self._sessions.delete_one({"person": person, "id": id_})).deleted_count == 1

    async def revoke_all(self, person: str, *, but: str = "") -> int:
        """How many there were besides the one called `but`."""
        return (await self._sessions.delete_many({"person": person, "id": {"$ne": but}})).deleted_count


class FailureStore:
    """Attempts to log in: each is written before the password is looked at, and taken back when it was right."""

    def __init__(self, database: Database) -> None:
        self._failures = database["login_failures"]

    async def prepare(self) -> None:
        await self._failures.create_index("at", expireAfterSeconds=int(FAILURES_WITHIN.total_seconds()))
        await self._failures.create_index([("name", 1), ("at", 1)])
        await self._failures.create_index([("address", 1), ("at", 1)])

    async def add(self, name: str, address: str, at: datetime) -> str:
        key = secret()
        await self._failures.insert_one({"_id": key, "name": name, "address": address, "at": at})
        return key

    async def remove(self, key: str) -> None:
        await self._failures.delete_one({"_id": key})

    async def forget(self, name: str, address: str) -> int:
        """All for the name and all from the address, where one is given; how many that were."""
        which = [{field: value} for field, value in (("name", name), ("address", address)) if value]
        return (await self._failures.delete_many({"$or": which})).deleted_count

    async def of_name(self, name: str, since: datetime, *, but: str) -> list[datetime]:
        return await self._times({"name": name, "at": {"$gt": since}, "_id": {"$ne": but}})

    async def of_address(self, address: str, since: datetime, *, but: str) -> list[datetime]:
        return await self._times({"address": address, "at": {"$gt": since}, "_id": {"$ne": but}})

    async def _times(self, which: Document) -> list[datetime]:
        cursor = self._failures.find(which, {"at": 1}).sort("at", 1)
        return [document["at"] async for document in cursor]


def _document(session: Session) -> Document:
    return {
        "_id": session.key,
        "id": session.id,
        "person": session.person,
        "version": session.version,
        "created_at": session.created_at,
        "seen_at": session.seen_at,
        "address": session.address,
        "user_agent": session.user_agent,
        "expires_at": session.expires_at,
    }


def _session(document: Document) -> Session:
    return Session(
        key=document["_id"],
        id=document["id"],
        person=document["person"],
        version=document["version"],
        created_at=document["created_at"],
        seen_at=document["seen_at"],
        address=document["address"],
        user_agent=document["user_agent"],
    )
