"""Virtual resources in MongoDB. What is missing is marked and stays."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from pymongo import ASCENDING, IndexModel, ReplaceOne

from contracts.virtual import ListVirtual, Virtual, VirtualCount
from runtime.mongo import Database, Document
from services.resources.hosts.criteria import Condition, all_of

_LAST_CHARACTER = "\U0010ffff"


class VirtualStore:
    def __init__(self, database: Database) -> None:
        self._virtual, self._hosts = database["virtual"], database["hosts"]

    async def prepare(self) -> None:
        fields = ("kind", "search_name", "stale")
        await self._virtual.create_indexes(
            [
                IndexModel([("host", ASCENDING), ("collector", ASCENDING)]),
                *(IndexModel([(field, ASCENDING), ("_id", ASCENDING)]) for field in fields),
            ]
        )

    async def of_collector(self, host: str, collector: str) -> list[Virtual]:
        found = self._virtual.find({"host": host, "collector": collector})
        return [_to_virtual(document) for document in await found.to_list(None)]

    async def put(self, resources: Sequence[Virtual]) -> None:
        if resources:
            writes = [ReplaceOne({"_id": each.id}, _to_document(each), upsert=True) for each in resources]
            await self._virtual.bulk_write(writes, ordered=False)

    async def page(self, request: ListVirtual, visible: Condition) -> list[Virtual]:
        """Up to one more than asked for."""
        low = request.search.lower()
        conditions: list[Condition] = [
            {"host": {"$in": list(request.hosts)}} if request.hosts else {},
            {"kind": {"$in": [kind.value for kind in request.kinds]}} if request.kinds else {},
            {"search_name": {"$gte": low, "$lt": low + _LAST_CHARACTER}} if low else {},
            {} if request.stale is None else {"stale": request.stale},
        ]
        found: list[Virtual] = []
        after = request.after
        while len(found) <= request.limit:
            query = all_of((*conditions, {"_id": {"$gt": after}}))
            documents = self._virtual.find(query).sort("_id", ASCENDING).limit(request.limit + 1)
            some = [_to_virtual(document) for document in await documents.to_list(None)]
            found += await self._visible(some, visible)
            if len(some) <= request.limit:
                break
            after = some[-1].id
        return found

    async def counts(self, hosts: Sequence[str], visible: Condition) -> list[VirtualCount]:
        """Of those hosts that are visible and have any, by id."""
        seen = sorted(await self._seen(hosts, visible))
        stale = {"$sum": {"$cond": ["$stale", 1, 0]}}
        counted: dict[str, VirtualCount] = {}
        stages: list[Document] = [
            {"$match": {"host": {"$in": seen}}},
            {"$group": {"_id": {"host": "$host", "kind": "$kind"}, "count": {"$sum": 1}, "stale": stale}},
            {"$sort": {"_id": 1}},
        ]
        async for row in self._virtual.aggregate(stages):
            host, kind = row["_id"]["host"], row["_id"]["kind"]
            before = counted.get(host, VirtualCount(host=host))
            more = {kind: row["count"], "stale": before.stale + row["stale"]}
            counted[host] = msgspec.structs.replace(before, **more)
        return list(counted.values())

    async def _visible(self, found: list[Virtual], visible: Condition) -> list[Virtual]:
        seen = await self._seen(list({each.host for each in found}), visible) if visible else None
        return found if seen is None else [each for each in found if each.host in seen]

    async def _seen(self, hosts: Sequence[str], visible: Condition) -> set[str]:
        found = self._hosts.find(all_of(({"_id": {"$in": list(hosts)}}, visible)), {"_id": 1})
        return {each["_id"] for each in await found.to_list(None)}


def _to_document(resource: Virtual) -> Document:
    document: Document = msgspec.to_builtins(resource, builtin_types=(datetime,))
    return document | {"_id": document.pop("id"), "search_name": resource.name.lower()}


def _to_virtual(document: Document) -> Virtual:
    return msgspec.convert(document | {"id": document["_id"]}, Virtual)
