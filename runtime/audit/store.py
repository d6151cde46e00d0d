"""The rows of one service in MongoDB: collection `audit`. Rows are inserted and never touched again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from contracts.audit import UNKNOWN, AuditKind, AuditRow, Head, ListAudit, id_from
from runtime.mongo import Database, Document

COLLECTION = "audit"
_NEWEST_FIRST = [("_id", -1)]
_CRITERIA = {"who": "who.name", "call": "call", "object": "object", "trace": "trace", "outcome": "outcome"}
"""Criterion of a list → field that has an index."""


class AuditStore:
    def __init__(self, database: Database) -> None:
        self._rows = database[COLLECTION]

    async def prepare(self) -> None:
        await self._rows.create_index([("chain", 1), ("n", 1)], unique=True)
        await self._rows.create_index("ref", partialFilterExpression={"kind": AuditKind.DONE.value})
        for field in _CRITERIA.values():
            await self._rows.create_index([(field, 1), ("_id", 1)])

    async def add(self, rows: Sequence[AuditRow]) -> None:
        """In this order; if it fails, those that are there are the first ones."""
        await self._rows.insert_many([_document(row) for row in rows], ordered=True)

    async def newest(self, wanted: ListAudit, limit: int) -> list[AuditRow]:
        """Rows that meet the criteria but for `text`, below `wanted.after`."""
        cursor = self._rows.find(_query(wanted)).sort(_NEWEST_FIRST).limit(limit)
        return [_row(document) async for document in cursor]

    async def by_id(self, ids: Sequence[str]) -> dict[str, AuditRow]:
        cursor = self._rows.find({"_id": {"$in": list(ids)}})
        return {document["_id"]: _row(document) async for document in cursor}

    async def ended(self, asked: Sequence[str]) -> set[str]:
        """Which of the rows that asked have one that says how it ended."""
        which = {"ref": {"$in": list(asked)}, "kind": AuditKind.DONE.value}
        return {document["ref"] async for document in self._rows.find(which, {"ref": 1})}

    async def following(self, chain: str, n: int, limit: int) -> list[AuditRow]:
        """Rows after number `n` of `chain`, and then those of the chains behind it."""
        found: list[AuditRow] = []
        for which in ({"chain": chain, "n": {"$gt": n}}, {"chain": {"$gt": chain}}):
            if len(found) < limit:
                cursor = self._rows.find(which).sort([("chain", 1), ("n", 1)]).limit(limit - len(found))
                found += [_row(document) async for document in cursor]
        return found

    async def heads(self, since: datetime, after: str, limit: int) -> list[Head]:
        """The newest row of each chain behind `after` that has grown since. Reads one row of each chain."""
        newest: dict[str, Any] = {field: {"$first": f"${field}"} for field in ("service", "n", "at", "digest")}
        stages: list[Document] = [
            {"$match": {"chain": {"$gt": after}}},
            {"$sort": {"chain": -1, "n": -1}},
            {"$group": {"_id": "$chain", **newest}},
            {"$match": {"at": {"$gte": since}}},
            {"$sort": {"_id": 1}},
            {"$limit": limit},
        ]
        return [
            Head(service=each["service"], chain=each["_id"], n=each["n"], digest=each["digest"])
            async for each in self._rows.aggregate(stages)
        ]


def _query(wanted: ListAudit) -> Document:
    query: Document = {}
    for criterion, field in _CRITERIA.items():
        if value := getattr(wanted, criterion):
            query[field] = value
    if wanted.outcome == UNKNOWN:
        query["outcome"] = ""
    bounds: Document = {}
    if wanted.since is not None:
        bounds["$gte"] = id_from(wanted.since)
    upper = [each for each in (wanted.after, id_from(wanted.until) if wanted.until else "") if each]
    if upper:
        bounds["$lt"] = min(upper)
    return {**query, "_id": bounds} if bounds else query


def _document(row: AuditRow) -> Document:
    return {
        "_id": row.id,
        **{name: value for name, value in msgspec.structs.asdict(row).items() if name != "who"},
        "kind": row.kind.value,
        "who": {**msgspec.structs.asdict(row.who), "roles": list(row.who.roles)},
    }


def _row(document: Document) -> AuditRow:
    return msgspec.convert({name: value for name, value in document.items() if name != "_id"}, AuditRow)
