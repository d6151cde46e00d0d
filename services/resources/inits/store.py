"""Initialisations in MongoDB: which run is followed, and for which hosts."""

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from pymongo import ASCENDING, DESCENDING, IndexModel

from contracts.hosts import HostState
from contracts.inits import HostInit, ListInits
from contracts.people import Principal
from runtime.mongo import Database, Document
from services.resources.inits.model import Followed


class InitStore:
    def __init__(self, database: Database) -> None:
        self._inits, self._hosts = database["host_inits"], database["hosts"]

    async def prepare(self) -> None:
        await self._inits.create_indexes(
            [
                IndexModel([("ended", ASCENDING), ("rest", ASCENDING), ("created_at", ASCENDING)]),
                IndexModel([("by", ASCENDING), ("_id", DESCENDING)]),
            ]
        )

    async def deploying(self, hosts: Sequence[str]) -> list[str]:
        """Those of them that are in `deploying`."""
        query = {"_id": {"$in": list(hosts)}, "state": HostState.DEPLOYING.value, "revoked": False}
        return [document["_id"] for document in await self._hosts.find(query, {"_id": 1}).to_list(None)]

    async def get(self, run: str) -> HostInit | None:
        document = await self._inits.find_one({"_id": run}, {"ids": 0})
        return _to_init(document) if document else None

    async def put(self, followed: Followed) -> None:
        document: Document = msgspec.structs.asdict(followed.init)
        document |= {"_id": document.pop("run"), "then": followed.init.then.value, "ids": list(followed.hosts)}
        document["credential"] = followed.credential
        await self._inits.replace_one({"_id": document["_id"]}, document, upsert=True)

    async def open(self) -> list[Followed]:
        return await self._followed({"ended": False})

    async def left(self, since: datetime) -> list[Followed]:
        """Those that ended with hosts which stay, and may be tried again."""
        return await self._followed({"ended": True, "rest": True, "created_at": {"$gt": since}})

    async def among(self, runs: Collection[str]) -> list[Followed]:
        """Of these runs, those that are followed or may be tried again."""
        return await self._followed({"_id": {"$in": sorted(runs)}, "$or": [{"ended": False}, {"rest": True}]})

    async def _followed(self, query: Document) -> list[Followed]:
        found = await self._inits.find(query).to_list(None)
        return [Followed(_to_init(each), tuple(each["ids"]), each["credential"], each.get("seen", 0)) for each in found]

    async def note(self, init: HostInit, *, succeeded: int, ended: bool, seen: int, rest: bool) -> None:
        """`seen` is the run's revision, `rest` whether hosts stay that may be tried again."""
        what = {"succeeded": succeeded, "ended": ended, "seen": seen, "rest": rest}
        await self._inits.update_one({"_id": init.run}, {"$set": what})

    async def page(self, request: ListInits, principal: Principal) -> list[HostInit]:
        """Newest first; up to one more than asked for."""
        query: Document = {"by": principal.name} | ({"credential": principal.credential} if principal.limited else {})
        query |= {"_id": {"$lt": request.after}} if request.after else {}
        found = self._inits.find(query, {"ids": 0}).sort("_id", DESCENDING).limit(request.limit + 1)
        return [_to_init(document) for document in await found.to_list(None)]


def _to_init(document: Document) -> HostInit:
    return msgspec.convert(document | {"run": document["_id"]}, HostInit)
