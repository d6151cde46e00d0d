"""Reads hosts as targets."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import ASCENDING

from contracts.hosts import TargetHost
from runtime.mongo import Database, Document
from services.resources.hosts.criteria import FIELDS, LIVE, Condition, Criterion, all_of

_SHOWN = dict.fromkeys(("_id", "idc", "ips", "hostname", "box_key", "business", "presence.last_seen"), 1)


class TargetStore:
    def __init__(self, database: Database) -> None:
        self._hosts = database["hosts"]

    async def ids(self, query: Mapping[str, Any], *, limit: int) -> list[str]:
        """Sorted, but not by MongoDB: told to sort, it walks through all hosts in the order of an index instead of
        looking at those few that some groups have."""
        found = await self._hosts.find(query, {"_id": 1}).limit(limit).to_list(None)
        return await asyncio.to_thread(lambda: sorted(document["_id"] for document in found))

    async def count(self, query: Mapping[str, Any]) -> int:
        return await self._hosts.count_documents(query)

    async def known(self, names: Criterion, visible: Condition, *, live: bool) -> set[str]:
        """The ids, IPs or host names of all visible hosts that answer to one of the names; with `live`, only of those
        that can be targets."""
        field = FIELDS[names.name]
        found = self._hosts.find(all_of((names.condition, visible, LIVE if live else {})), {field: 1})
        known: set[str] = set()
        for document in await found.to_list(None):
            value = document[field]
            known.update([value] if isinstance(value, str) else value)
        return known

    async def hosts(self, ids: Sequence[str], *, heard_after: float) -> list[TargetHost]:
        """These hosts, sorted by id."""
        found = self._hosts.find({"_id": {"$in": list(ids)}}, _SHOWN).sort("_id", ASCENDING)
        return [_to_target(document, heard_after) for document in await found.to_list(None)]


def _to_target(document: Document, heard_after: float) -> TargetHost:
    last_seen = document.get("presence", {}).get("last_seen")
    return TargetHost(
        id=document["_id"],
        idc=document["idc"],
        ip=next(iter(document["ips"]), ""),
        hostname=document["hostname"],
        box_key=document.get("box_key", ""),
        online=last_seen is not None and last_seen.timestamp() >= heard_after,
        business=document["business"],
    )
