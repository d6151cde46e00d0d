"""Collectors and their runs in MongoDB. A collector has one run that is open at most, whichever instance began it."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from pymongo import ASCENDING, DESCENDING, IndexModel

from contracts.collectors import Collection, Collector, ListCollections, ListCollectors
from contracts.names import NameKind
from runtime.mongo import Database, Document, DuplicateKeyError, Session, now
from runtime.revisions import Fields, Revisions, fields
from services.resources.collectors.model import name_of

KEPT = timedelta(days=90)
_OPEN = {"open": True}
_DERIVED = frozenset({"next_at", "last", "names"})


class CollectorStore:
    def __init__(self, database: Database) -> None:
        self._collectors, self._collections = database["collectors"], database["collections"]
        self.revisions = Revisions(self._collectors, "collector.changed_meanwhile", "the collector {}", _entered)

    async def prepare(self) -> None:
        await self._collectors.create_indexes(
            [IndexModel([("enabled", ASCENDING), ("next_at", ASCENDING)]), IndexModel([("names", ASCENDING)])]
        )
        await self._collections.create_indexes(
            [
                IndexModel([("collector", ASCENDING), ("_id", DESCENDING)]),
                IndexModel([("collector", ASCENDING)], name="one_open", unique=True, partialFilterExpression=_OPEN),
                IndexModel([("open", ASCENDING), ("_id", ASCENDING)], partialFilterExpression=_OPEN),
                IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0),
            ]
        )

    async def get(self, name: str) -> Collector | None:
        document = await self._collectors.find_one({"_id": name})
        return (await self._with_last([document]))[0] if document else None

    async def page(self, request: ListCollectors) -> list[Collector]:
        """Up to one more than asked for."""
        found = self._collectors.find({"_id": {"$gt": request.after}}).sort("_id", ASCENDING).limit(request.limit + 1)
        return await self._with_last(await found.to_list(None))

    async def naming(self, kind: NameKind, name: str) -> list[str]:
        """Those that name it."""
        found = self._collectors.find({"names": name_of(kind, name)}, {"_id": 1})
        return sorted([each["_id"] async for each in found])

    async def save(self, collector: Collector, before: Collector | None, names: Sequence[str]) -> bool:
        """False if somebody else was faster."""
        document = _defined(collector) | {"names": list(names)}
        if before is None:
            try:
                await self._collectors.insert_one(document | {"last": ""})
            except DuplicateKeyError:
                return False
            return True
        seen: Any = {"_id": collector.name, "revision": before.revision}
        update = self.revisions.update(_defined(before), document)
        return bool((await self._collectors.update_one(seen, update)).matched_count)

    async def remove(self, collector: Collector, session: Session) -> bool:
        """False if the collector has moved on."""
        same = {"_id": collector.name, "revision": collector.revision}
        return bool((await self._collectors.delete_one(same, session=session)).deleted_count)

    async def due(self) -> Collector | None:
        """One whose time has come."""
        document = await self._collectors.find_one({"enabled": True, "next_at": {"$lte": now()}})
        return (await self._with_last([document]))[0] if document else None

    async def wait_until(self, collector: Collector, next_at: datetime | None) -> None:
        seen = {"_id": collector.name, "next_at": collector.next_at}
        await self._collectors.update_one(seen, {"$set": {"next_at": next_at}})

    async def begin(self, collection: Collection) -> Collection:
        """The collection, or the one that is open already."""
        document = _document(collection) | {"expires_at": collection.created_at + KEPT}
        while True:
            try:
                await self._collections.insert_one(document)
            except DuplicateKeyError:
                known = await self._collections.find_one({"collector": collection.collector, **_OPEN})
                if known is not None:
                    return _to_collection(known)
                continue  # it has ended meanwhile
            await self._collectors.update_one({"_id": collection.collector}, {"$set": {"last": collection.id}})
            return collection

    async def open(self) -> list[Collection]:
        """The oldest first."""
        found = self._collections.find(_OPEN).sort("_id", ASCENDING)
        return [_to_collection(document) for document in await found.to_list(None)]

    async def note(self, collection: Collection) -> None:
        document = _document(collection)
        await self._collections.update_one({"_id": document.pop("_id"), **_OPEN}, {"$set": document})

    async def collection(self, name: str) -> Collection | None:
        document = await self._collections.find_one({"_id": name})
        return _to_collection(document) if document else None

    async def collections(self, request: ListCollections) -> list[Collection]:
        """The newest first; up to one more than asked for."""
        query: Document = {"collector": request.name} | ({"_id": {"$lt": request.after}} if request.after else {})
        found = self._collections.find(query).sort("_id", DESCENDING).limit(request.limit + 1)
        return [_to_collection(document) for document in await found.to_list(None)]

    async def _with_last(self, documents: Iterable[Document]) -> list[Collector]:
        documents = list(documents)
        found = self._collections.find({"_id": {"$in": [each["last"] for each in documents]}})
        last = {document["_id"]: _to_collection(document) for document in await found.to_list(None)}
        return [
            msgspec.convert(each | {"name": each["_id"], "last": last.get(each["last"])}, Collector)
            for each in documents
        ]


def _entered(document: Document) -> Fields:
    """What people said of it."""
    return {name: value for name, value in fields(document).items() if name not in _DERIVED}


def _defined(collector: Collector) -> Document:
    """Without its newest collection: whoever begins one says so."""
    document: Document = msgspec.to_builtins(collector, builtin_types=(datetime,))
    del document["last"]
    return document | {"_id": document.pop("name")}


def _document(collection: Collection) -> Document:
    document: Document = msgspec.to_builtins(collection, builtin_types=(datetime,))
    return document | {"_id": document.pop("id"), "open": collection.ended_at is None}


def _to_collection(document: Document) -> Collection:
    return msgspec.convert(document | {"id": document["_id"]}, Collection)
