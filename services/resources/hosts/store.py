"""Hosts in MongoDB. Speaks Host outwards and documents inwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo import ASCENDING, IndexModel, ReturnDocument

from contracts.hosts import Host, ListHosts
from runtime.mongo import Database
from services.resources.hosts.criteria import Condition, all_of, begins_with, criteria
from services.resources.hosts.document import Document, HostRecord, at, to_document, to_host, to_record
from services.resources.hosts.model import facts_hash

Session = AsyncIOMotorClientSession

_PAGED_BY = ("idc", "business", "product_line", "state", "tags", "ips", "hostname", "host_class")
INDEXES = [
    *(IndexModel([(field, ASCENDING), ("_id", ASCENDING)]) for field in _PAGED_BY),
    IndexModel([("presence.online", ASCENDING), ("presence.last_seen", ASCENDING)]),
    IndexModel([("user_key", ASCENDING)], unique=True, partialFilterExpression={"revoked": False}),
]
CHANGEABLE = ("state", "business", "product_line", "tags", "labels")


@dataclass(frozen=True)
class Revoked:
    by: str
    why: str
    at: datetime


class HostStore:
    def __init__(self, database: Database) -> None:
        self._hosts = database["hosts"]

    async def prepare(self) -> None:
        await self._hosts.create_indexes(INDEXES)

    async def get(self, host: str, session: Session | None = None) -> HostRecord | None:
        document = await self._hosts.find_one({"_id": host}, session=session)
        return to_record(document) if document else None

    async def page(self, request: ListHosts, *, heard_after: datetime) -> list[Host]:
        """Up to one host more than asked for, which tells that there is a next page."""
        conditions: list[Condition] = [each.condition for each in criteria(request)]
        if request.search:
            conditions.append(begins_with(request.search))
        if request.online is not None:
            conditions.append(_online(request.online, heard_after))
        if request.after:
            conditions.append({"_id": {"$gt": request.after}})
        found = self._hosts.find(all_of(conditions)).sort("_id", ASCENDING).limit(request.limit + 1)
        return [to_host(document) async for document in found]

    async def save_change(self, before: Host, after: Host) -> bool:
        """Write what people may change; False if the host has moved on from the revision it had before."""
        values: dict[str, Any] = msgspec.to_builtins(after)
        done = await self._hosts.update_one(
            {"_id": before.id, "revision": before.revision, "revoked": False},
            {"$set": {name: values[name] for name in (*CHANGEABLE, "revision")}},
        )
        return done.modified_count == 1

    async def add(self, record: HostRecord, session: Session) -> None:
        """Raises DuplicateKeyError if another host that is not revoked has the same user key."""
        await self._hosts.insert_one(to_document(record, facts_hash(record.host.facts)), session=session)

    async def ids_of_key(self, user_key: str, session: Session) -> Sequence[str]:
        """Hosts that are not revoked and have this key: one at most."""
        found = self._hosts.find({"user_key": user_key, "revoked": False}, {"_id": 1}, session=session)
        return [document["_id"] async for document in found]

    async def revoke(self, host: str, revoked: Revoked, session: Session) -> HostRecord | None:
        """Revoke and retire; None if the host is unknown or revoked already."""
        document = await self._hosts.find_one_and_update(
            {"_id": host, "revoked": False},
            {
                "$set": {
                    "revoked": True,
                    "state": "retired",
                    "presence.online": False,
                    "revocation": {"by": revoked.by, "why": revoked.why, "at": revoked.at},
                },
                "$inc": {"revision": 1},
            },
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        return to_record(document) if document else None

    async def note_issued(self, host: str, *, issued_at: int, until: int) -> HostRecord | None:
        """Remember new credentials before they are handed out; None if the host may have none.

        Issuing and revoking change the same document, so a revocation always knows the newest credentials.
        """
        document: Document | None = await self._hosts.find_one_and_update(
            {"_id": host, "revoked": False},
            {"$max": {"issued_at": issued_at, "credentials_until": at(until)}},
            return_document=ReturnDocument.AFTER,
        )
        return to_record(document) if document else None


def _online(online: bool, heard_after: datetime) -> Condition:
    heard = {"$gte": heard_after}
    if online:
        return {"presence.last_seen": heard, "revoked": False}
    return {"$or": [{"presence.last_seen": {"$not": heard}}, {"revoked": True}]}
