"""The history of hosts in MongoDB. Entries are inserted with the change that they tell of, and never changed."""

from collections.abc import Sequence

import msgspec
from pymongo import DESCENDING, IndexModel, UpdateOne

from contracts.edits import HostEvent, ListHistory
from runtime.mongo import Database, Document, Session
from runtime.revisions import KEPT
from services.resources.history.model import entry_id


class HistoryStore:
    def __init__(self, database: Database) -> None:
        self._history = database["host_history"]

    async def prepare(self) -> None:
        await self._history.create_indexes([IndexModel([("host", DESCENDING), ("_id", DESCENDING)])])

    async def add(self, events: Sequence[HostEvent], session: Session | None) -> None:
        if events:
            await self._history.insert_many([_to_document(event) for event in events], session=session, ordered=False)

    async def note(self, events: Sequence[HostEvent]) -> None:
        """Entries that come with no change; one that is there already stays as it is."""
        if events:
            documents = map(_to_document, events)
            writes = [UpdateOne({"_id": each.pop("_id")}, {"$setOnInsert": each}, upsert=True) for each in documents]
            await self._history.bulk_write(writes, ordered=False)

    async def between(self, host: str, after: int, until: int) -> list[HostEvent]:
        """Of these revisions the newest ones, the oldest first."""
        ids = {"$gt": entry_id(host, after), "$lte": entry_id(host, until)}
        found = self._history.find({"host": host, "_id": ids}).sort("_id", DESCENDING).limit(KEPT)
        return [msgspec.convert(each | {"id": each["_id"]}, HostEvent) for each in reversed(await found.to_list(None))]

    async def page(self, request: ListHistory) -> list[HostEvent]:
        """Newest first; up to one more than asked for, which tells that there is a next page."""
        query: Document = {"host": request.host} | ({"_id": {"$lt": request.after}} if request.after else {})
        found = self._history.find(query).sort("_id", DESCENDING).limit(request.limit + 1)
        return [msgspec.convert(each | {"id": each["_id"]}, HostEvent) for each in await found.to_list(None)]


def _to_document(event: HostEvent) -> Document:
    document: Document = msgspec.structs.asdict(event)
    document["_id"] = document.pop("id")
    document["origin"] = msgspec.structs.asdict(event.origin) | {"kind": event.origin.kind.value}
    document["changes"] = [msgspec.structs.asdict(change) for change in event.changes]
    return document
