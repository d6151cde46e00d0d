"""Hosts in MongoDB. Speaks Host outwards and documents inwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo import ASCENDING, IndexModel, ReturnDocument

from contracts.hosts import Host, HostState, ListHosts
from runtime.mongo import Database
from services.resources.expressions.query import online
from services.resources.hosts.criteria import Condition, Language, all_of, begins_with, criteria
from services.resources.hosts.document import GROUPS, Document, HostRecord, at, to_document, to_host, to_record
from services.resources.hosts.model import CHANGEABLE, MARKS, facts_hash

Session = AsyncIOMotorClientSession

_PAGED_BY = (
    *("idc", "business", "product_line", "state", "tags", "ips", "ip_keys", "hostname", "host_class"),
    *("room", "rack", "host_set", "serial", "asset_id", GROUPS),
)
INDEXES = [
    *(IndexModel([(field, ASCENDING), ("_id", ASCENDING)]) for field in _PAGED_BY),
    IndexModel([("labels.$**", ASCENDING)]),
    IndexModel([("presence.online", ASCENDING), ("presence.last_seen", ASCENDING)]),
    IndexModel([("attributes.$**", ASCENDING)]),
    IndexModel(
        [("user_key", ASCENDING)],
        name="user_key_of_agents",
        unique=True,
        partialFilterExpression={"revoked": False, "user_key": {"$exists": True}},
    ),
]
LEAVES_ITS_GROUPS: Document = {"$unset": {GROUPS: ""}}
"""Part of every update that retires a host: when it comes back it may be for something else."""


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

    async def get(
        self, host: str, visible: Condition | None = None, session: Session | None = None
    ) -> HostRecord | None:
        """None also for a host that does not meet the condition."""
        document = await self._hosts.find_one(all_of(({"_id": host}, visible or {})), session=session)
        return to_record(document) if document else None

    async def page(
        self, request: ListHosts, language: Language, visible: Condition, *, heard_after: datetime
    ) -> list[Host]:
        """Of the visible hosts, up to one more than asked for, which tells that there is a next page."""
        conditions = [visible, *(each.condition for each in criteria(request, language))]
        if request.search:
            conditions.append(begins_with(request.search))
        if request.online is not None:
            conditions.append(online(request.online, heard_after))
        if request.after:
            conditions.append({"_id": {"$gt": request.after}})
        found = self._hosts.find(all_of(conditions)).sort("_id", ASCENDING).limit(request.limit + 1)
        return [to_host(document) async for document in found]

    async def save_change(self, before: Host, after: Host) -> bool:
        """Write what people may change; False if the host has moved on from the revision it had before."""
        values: dict[str, Any] = msgspec.to_builtins(after, builtin_types=(datetime,))
        written = {"$set": {name: values[name] for name in (*CHANGEABLE, *MARKS)}}
        left = LEAVES_ITS_GROUPS if after.state is HostState.RETIRED else {}
        done = await self._hosts.update_one(
            {"_id": before.id, "revision": before.revision, "revoked": False}, written | left
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
                    "changed_by": revoked.by,
                    "changed_at": revoked.at,
                    "presence.online": False,
                    "revocation": {"by": revoked.by, "why": revoked.why, "at": revoked.at},
                },
                "$inc": {"revision": 1},
                **LEAVES_ITS_GROUPS,
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
            {"_id": host, "revoked": False, "agent": {"$ne": False}},
            {"$max": {"issued_at": issued_at, "credentials_until": at(until)}},
            return_document=ReturnDocument.AFTER,
        )
        return to_record(document) if document else None
