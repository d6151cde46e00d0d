"""Hosts in MongoDB. Speaks Host outwards and documents inwards."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo import ASCENDING, IndexModel, ReturnDocument, UpdateOne

from contracts.hosts import Host, HostState, ListHosts
from runtime.mongo import Database
from services.resources.expressions.query import online
from services.resources.hosts.criteria import LIVE, Condition, Language, all_of, begins_with, criteria
from services.resources.hosts.document import (
    GROUPS,
    Changed,
    Document,
    HostRecord,
    Origins,
    Traced,
    at,
    change_of,
    to_document,
    to_host,
    to_record,
    to_traced,
)
from services.resources.hosts.model import facts_hash

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

    async def ids(self, conditions: Iterable[Condition], *, after: str, limit: int) -> list[str]:
        """Sorted; up to one more than asked for, which tells that there is a next page."""
        query = all_of((*conditions, {"_id": {"$gt": after}} if after else {}))
        found = self._hosts.find(query, {"_id": 1}).sort("_id", ASCENDING).limit(limit + 1)
        return [document["_id"] for document in await found.to_list(None)]

    async def traced(self, hosts: Sequence[str], visible: Condition, session: Session | None = None) -> list[Traced]:
        """Those of the hosts that exist and are visible, by id."""
        query = all_of(({"_id": {"$in": list(hosts)}}, visible))
        found = self._hosts.find(query, session=session).sort("_id", ASCENDING)
        return [to_traced(document) for document in await found.to_list(None)]

    async def save(self, changed: Sequence[Changed], session: Session) -> None:
        """Write what differs; the hosts must be those that this session has read."""
        await self._hosts.bulk_write([_change(each) for each in changed], session=session)

    async def add(self, records: Sequence[tuple[HostRecord, Origins]], session: Session) -> None:
        """Raises DuplicateKeyError if another host that is not revoked has the same user key."""
        documents = [to_document(record, facts_hash(record.host.facts), origins) for record, origins in records]
        await self._hosts.insert_many(documents, session=session)

    async def waiting_for(self, enrolled: Host, session: Session) -> list[Traced]:
        """Up to two records without an agent that may be of this host: same IDC and class, and an IP or the name."""
        ways: list[Document] = [{"ips": {"$in": list(enrolled.ips)}}] if enrolled.ips else []
        ways += [{"hostname": enrolled.hostname}] if enrolled.hostname else []
        if not ways:
            return []
        may = {"idc": enrolled.idc, "host_class": enrolled.host_class.value, "agent": False, **LIVE}
        found = self._hosts.find({"$or": ways, **may}, session=session).limit(2)
        return [to_traced(document) for document in await found.to_list(None)]

    async def adopt(self, record: HostRecord, origins: Origins, session: Session) -> None:
        """Give the record that is there an agent."""
        document = to_document(record, facts_hash(record.host.facts), origins)
        await self._hosts.update_one({"_id": document.pop("_id")}, {"$set": document}, session=session)

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


def _change(changed: Changed) -> UpdateOne:
    left = LEAVES_ITS_GROUPS if changed.after.state is HostState.RETIRED else {}
    return UpdateOne({"_id": changed.after.id}, change_of(changed) | left)
