"""Imports in MongoDB: what was asked, the text while it is needed, what became of the rows."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument

from contracts.hosts import Host
from contracts.imports import Import, ImportCounts, ImportState, Key, ListImports, ListRows, Row
from runtime.mongo import Database, Document, now
from services.resources.hosts.criteria import all_of
from services.resources.hosts.document import to_host
from services.resources.imports.model import FIELD, Named

KEPT = timedelta(days=90)
SOURCES = "sources"
"""Of a host's document: the sources whose imports have named it."""
WORKED = (ImportState.PLANNING, ImportState.APPLYING)


class ImportStore:
    def __init__(self, database: Database) -> None:
        self._imports, self._pieces = database["imports"], database["import_pieces"]
        self._rows, self._hosts = database["import_rows"], database["hosts"]

    async def prepare(self) -> None:
        expires = IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0)
        await self._imports.create_indexes(
            [
                IndexModel([("state", ASCENDING), ("_id", ASCENDING)]),
                IndexModel([("rules.source", DESCENDING), ("_id", DESCENDING)]),
                expires,
            ]
        )
        await self._pieces.create_indexes([IndexModel([("import", ASCENDING), ("number", ASCENDING)]), expires])
        await self._rows.create_indexes(
            [
                IndexModel([("import", ASCENDING), ("outcome", ASCENDING), ("_id", ASCENDING)]),
                IndexModel([("import", ASCENDING), ("_id", ASCENDING)]),
                expires,
            ]
        )
        await self._hosts.create_indexes([IndexModel([(SOURCES, ASCENDING), ("_id", ASCENDING)])])

    async def add(self, begun: Import) -> None:
        document: Document = msgspec.to_builtins(begun, builtin_types=(datetime,))
        document["_id"] = document.pop("id")
        await self._imports.insert_one(document | {"expires_at": begun.created_at + KEPT, "characters": 0})

    async def get(self, name: str) -> Import | None:
        document = await self._imports.find_one({"_id": name})
        return _to_import(document) if document else None

    async def page(self, request: ListImports) -> list[Import]:
        """Newest first; up to one more than asked for."""
        conditions: list[Document] = [
            {"rules.source": request.source} if request.source else {},
            {"_id": {"$lt": request.after}} if request.after else {},
        ]
        found = self._imports.find(all_of(conditions)).sort("_id", DESCENDING).limit(request.limit + 1)
        return [_to_import(document) for document in await found.to_list(None)]

    async def move(self, name: str, states: Iterable[ImportState], **fields: Any) -> Import | None:
        """Change fields of an import that is in one of these states; None if it is not."""
        document = await self._imports.find_one_and_update(
            {"_id": name, "state": {"$in": [state.value for state in states]}},
            {"$set": fields},
            return_document=ReturnDocument.AFTER,
        )
        return _to_import(document) if document else None

    async def waiting(self) -> Import | None:
        """The oldest that is to be planned or applied."""
        query = {"state": {"$in": [state.value for state in WORKED]}}
        document = await self._imports.find_one(query, sort=[("_id", ASCENDING)])
        return _to_import(document) if document else None

    async def to_fetch(self) -> list[Import]:
        """Of each source that is to be asked, the oldest import; the oldest first."""
        oldest: list[Document] = [
            {"$match": {"state": ImportState.FETCHING.value}},
            {"$sort": {"_id": ASCENDING}},
            {"$group": {"_id": "$rules.source", "import": {"$first": "$$ROOT"}}},
            {"$replaceWith": "$import"},
            {"$sort": {"_id": ASCENDING}},
        ]
        found = self._imports.aggregate(oldest)
        return [_to_import(document) for document in await found.to_list(None)]

    async def ended(
        self, work: Import, state: ImportState, counts: ImportCounts, *, reason: str, message: str
    ) -> Import:
        fields = {"ended_at": now(), "counts": msgspec.structs.asdict(counts), "reason": reason, "message": message}
        moved = await self.move(work.id, [work.state], state=state.value, **fields)
        if state is ImportState.APPLIED:
            await self.forget_pieces(work.id)
        return moved or work

    async def put_piece(self, name: str, number: int, text: str, *, most: int) -> bool:
        """False if that makes the import too large. A piece that comes again counts once."""
        piece: Document = {"_id": f"{name}:{number:06}", "import": name, "number": number, "text": text}
        before = await self._pieces.find_one_and_replace(
            {"_id": piece["_id"]}, piece | {"expires_at": now() + KEPT}, upsert=True
        )
        more = len(text) - (len(before["text"]) if before else 0)
        size: Document | None = await self._imports.find_one_and_update(
            {"_id": name}, {"$inc": {"characters": more}}, return_document=ReturnDocument.AFTER
        )
        return size is None or int(size["characters"]) <= most

    async def forget_pieces(self, name: str) -> None:
        await self._pieces.delete_many({"import": name})

    async def text(self, name: str) -> str:
        found = self._pieces.find({"import": name}).sort("number", ASCENDING)
        return "".join([piece["text"] async for piece in found])

    async def forget_rows(self, name: str) -> None:
        await self._rows.delete_many({"import": name})

    async def put_rows(self, name: str, rows: Sequence[Row]) -> None:
        if rows:
            expires = {"import": name, "expires_at": now() + KEPT}
            documents = [
                {"_id": f"{name}:{row.line:08}:{row.host}:{row.name}", **expires, **msgspec.to_builtins(row)}
                for row in rows
            ]
            await self._rows.insert_many(documents, ordered=False)

    async def rows(self, request: ListRows) -> list[tuple[str, Row]]:
        """Key and row, up to one more than asked for."""
        conditions: list[Document] = [
            {"import": request.id},
            {"outcome": {"$in": [each.value for each in request.outcomes]}} if request.outcomes else {},
            {"_id": {"$gt": request.after}} if request.after else {},
        ]
        found = self._rows.find(all_of(conditions)).sort("_id", ASCENDING).limit(request.limit + 1)
        return [(each["_id"], msgspec.convert(each, Row)) for each in await found.to_list(None)]

    async def named(self, names: Iterable[Named]) -> list[Host]:
        """All hosts that answer to one of the names; revoked ones do not."""
        wanted: dict[str, list[str]] = {}
        for key, value in names:
            wanted.setdefault(FIELD[Key(key)], []).append(value)
        if not wanted:
            return []
        ways = [{attribute: {"$in": values}, "revoked": False} for attribute, values in wanted.items()]
        found = self._hosts.find({"$or": ways})
        return [to_host(document) for document in await found.to_list(None)]

    async def of_source(self, source: str) -> set[str]:
        """Hosts that the source has named, neither revoked nor retired."""
        query = {SOURCES: source, "revoked": False, "state": {"$ne": "retired"}}
        return {document["_id"] async for document in self._hosts.find(query, {"_id": 1})}

    async def note_source(self, source: str, hosts: Sequence[str]) -> None:
        if hosts:
            await self._hosts.update_many(
                {"_id": {"$in": list(hosts)}, SOURCES: {"$ne": source}}, {"$addToSet": {SOURCES: source}}
            )


def _to_import(document: Document) -> Import:
    return msgspec.convert(document | {"id": document["_id"]}, Import)
