"""Sources in MongoDB; their secrets only as the service's key has closed them."""

from datetime import datetime
from typing import Any

import msgspec
from pymongo import ASCENDING, IndexModel

from contracts.sources import ListSources, Source
from runtime.mongo import Database, Document, DuplicateKeyError, Session, now
from runtime.revisions import Fields, Revisions, fields

SECRET = "secret"  # noqa: S105  the name of a field


class SourceStore:
    def __init__(self, database: Database) -> None:
        self._sources = database["sources"]
        self.revisions = Revisions(self._sources, "source.changed_meanwhile", "the source {}", _entered)

    async def prepare(self) -> None:
        await self._sources.create_indexes([IndexModel([("enabled", ASCENDING), ("next_at", ASCENDING)])])

    async def get(self, name: str) -> Source | None:
        document = await self._sources.find_one({"_id": name})
        return _to_source(document) if document else None

    async def closed_secret(self, name: str) -> bytes:
        document = await self._sources.find_one({"_id": name}, {SECRET: 1})
        return bytes(document[SECRET]) if document else b""

    async def page(self, request: ListSources) -> list[Source]:
        """Up to one more than asked for."""
        found = self._sources.find({"_id": {"$gt": request.after}}).sort("_id", ASCENDING).limit(request.limit + 1)
        return [_to_source(document) for document in await found.to_list(None)]

    async def save(self, source: Source, before: Source | None, secret: bytes) -> bool:
        """False if somebody else was faster."""
        document = _to_document(source, secret)
        if before is None:
            try:
                await self._sources.insert_one(document)
            except DuplicateKeyError:
                return False
            return True
        kept: Any = {"_id": source.name, "revision": before.revision}
        update = self.revisions.update(_to_document(before, await self.closed_secret(source.name)), document)
        return bool((await self._sources.update_one(kept, update)).matched_count)

    async def remove(self, source: Source, session: Session) -> bool:
        """False if the source has moved on."""
        same = {"_id": source.name, "revision": source.revision}
        return bool((await self._sources.delete_one(same, session=session)).deleted_count)

    async def due(self) -> Source | None:
        """One whose time has come."""
        document = await self._sources.find_one({"enabled": True, "next_at": {"$lte": now()}})
        return _to_source(document) if document else None

    async def note_import(self, name: str, last_import: str, next_at: datetime | None) -> None:
        fields: Document = {"last_import": last_import} | ({"next_at": next_at} if next_at else {})
        await self._sources.update_one({"_id": name}, {"$set": fields})


def _entered(document: Document) -> Fields:
    """Without what running it leaves behind."""
    return {name: value for name, value in fields(document).items() if name not in {"next_at", "last_import"}}


def _to_document(source: Source, secret: bytes) -> Document:
    document: Document = msgspec.to_builtins(source, builtin_types=(datetime,))
    return document | {"_id": document.pop("name"), SECRET: secret}


def _to_source(document: Document) -> Source:
    return msgspec.convert(document | {"name": document["_id"], "has_secret": bool(document[SECRET])}, Source)
