"""Virtual resources in MongoDB. What is missing is marked and stays."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from datetime import datetime

import msgspec
from pymongo import ASCENDING, IndexModel, ReplaceOne

from contracts.virtual import ListVirtual, Virtual, VirtualCount
from runtime.mongo import Database, Document, Session, together
from services.resources.hosts.criteria import LIVE, Condition, all_of
from services.resources.hosts.model import is_ip
from services.resources.virtual.model import Places

_LAST_CHARACTER = "\U0010ffff"


class VirtualStore:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._virtual, self._hosts = database["virtual"], database["hosts"]

    async def prepare(self) -> None:
        fields = ("kind", "search_name", "stale")
        await self._virtual.create_indexes(
            [
                IndexModel([("host", ASCENDING), ("collector", ASCENDING), ("_id", ASCENDING)]),
                IndexModel([("collector", ASCENDING), ("_id", ASCENDING)]),
                *(IndexModel([(field, ASCENDING), ("_id", ASCENDING)]) for field in fields),
            ]
        )

    async def of_collector(self, collector: str, *, host: str, at_once: int) -> AsyncIterator[list[Virtual]]:
        """All that it ever named, on this host if one is given, some at a time."""
        where: Document = {"collector": collector} | ({"host": host} if host else {})
        after = ""
        while True:
            found = self._virtual.find(where | {"_id": {"$gt": after}}).sort("_id", ASCENDING).limit(at_once)
            some = [_to_virtual(document) for document in await found.to_list(None)]
            if some:
                yield some
            if len(some) < at_once:
                return
            after = some[-1].id

    async def known(self, ids: Sequence[str]) -> dict[str, Virtual]:
        found = self._virtual.find({"_id": {"$in": list(ids)}})
        return {document["_id"]: _to_virtual(document) for document in await found.to_list(None)}

    async def places(self, names: Collection[str]) -> Places:
        """The hosts of these ids, and those that have these IPs; one revoked or retired has none."""
        ips = [name for name in names if is_ip(name)]
        ids = [name for name in names if not is_ip(name)]
        by_id = self._hosts.find({"_id": {"$in": ids}}, {"_id": 1})
        by_ip = self._hosts.find(all_of(({"ips": {"$in": ips}}, LIVE)), {"ips": 1}) if ips else None
        owners: dict[str, list[str]] = {}
        for document in await by_ip.to_list(None) if by_ip else ():
            for ip in document["ips"]:
                owners.setdefault(ip, []).append(document["_id"])
        return Places(frozenset([document["_id"] for document in await by_id.to_list(None)]), owners)

    async def end(self, collector: str, remove: Callable[[Session], Awaitable[bool]]) -> bool:
        """Forsake what it named if `remove` removes it; both count, or neither. False if it does not."""

        async def work(session: Session) -> bool:
            removed = await remove(session)
            if removed:
                await self.forsake(collector, session)
            return removed

        return await together(self._database, work)

    async def forsake(self, collector: str, session: Session | None = None) -> None:
        """Nobody will report any more what this one named: all of it is stale from now on."""
        fresh = {"collector": collector, "stale": False}
        await self._virtual.update_many(fresh, {"$set": {"stale": True}}, session=session)

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
