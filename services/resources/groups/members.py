"""Hosts as members of groups: who is in, and who was put in by hand."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pymongo import ASCENDING

from contracts.hosts import Host
from runtime.mongo import Database, Document
from services.resources.hosts.criteria import LIVE, Condition, all_of
from services.resources.hosts.document import GROUPS, to_host


class MemberStore:
    def __init__(self, database: Database) -> None:
        self._hosts = database["hosts"]

    async def page(self, condition: Condition, *, after: str, limit: int) -> list[Host]:
        """Up to one host more than asked for, which tells that there is a next page."""
        conditions = (LIVE, condition, {"_id": {"$gt": after}} if after else {})
        found = self._hosts.find(all_of(conditions)).sort("_id", ASCENDING).limit(limit + 1)
        return [to_host(document) for document in await found.to_list(None)]

    async def count(self, condition: Condition) -> int:
        return await self._hosts.count_documents(all_of((LIVE, condition)))

    async def known(self, hosts: Collection[str], condition: Condition) -> set[str]:
        """Those of the ids that can be members and meet the condition."""
        found = self._hosts.find(all_of(({"_id": {"$in": list(hosts)}}, LIVE, condition)), {"_id": 1})
        return {document["_id"] for document in await found.to_list(None)}

    async def put(self, key: str, hosts: Sequence[str]) -> None:
        """A host that was retired meanwhile stays out."""
        await self._hosts.update_many({"_id": {"$in": list(hosts)}, **LIVE}, {"$addToSet": {GROUPS: key}})

    async def take(self, key: str, hosts: Sequence[str]) -> None:
        await self._hosts.update_many({"_id": {"$in": list(hosts)}, GROUPS: key}, {"$pull": {GROUPS: key}})

    async def forget(self, key: str) -> None:
        await self._hosts.update_many({GROUPS: key}, {"$pull": {GROUPS: key}})

    async def documents(self, hosts: Collection[str], condition: Condition) -> list[Document]:
        """Sorted by id."""
        found = self._hosts.find(all_of(({"_id": {"$in": list(hosts)}}, condition))).sort("_id", ASCENDING)
        return await found.to_list(None)

    async def has_label(self, name: str) -> bool:
        """Whether any host has it."""
        if "." in name:  # which MongoDB would read as a path
            value = {"$getField": {"field": {"$literal": name}, "input": "$labels"}}
            stands: Mapping[str, Any] = {"$expr": {"$gt": [value, None]}}
        else:
            stands = {f"labels.{name}": {"$exists": True}}
        return await self._hosts.find_one(stands, {"_id": 1}) is not None

    async def unknown_labels(self, names: Sequence[str]) -> list[str]:
        known = await asyncio.gather(*map(self.has_label, names))
        return [name for name, stands in zip(names, known, strict=True) if not stands]
