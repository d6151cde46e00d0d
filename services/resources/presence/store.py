"""Presence in the hosts' documents. Only batches are written here."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from pymongo import UpdateMany, UpdateOne

from contracts.hosts import HostFacts
from runtime.mongo import Database
from services.resources.hosts.addresses import FIELD, keys
from services.resources.hosts.document import at
from services.resources.hosts.model import addresses, canonical_hostname, facts_hash
from services.resources.presence.model import Beat, grouped

SWEPT_AT_ONCE = 1000


@dataclass(frozen=True)
class Changes:
    """Host → revision, of those that this very write changed."""

    online: dict[str, int]
    facts: dict[str, int]


class PresenceStore:
    def __init__(self, database: Database, *, rewrite_s: float) -> None:
        """What was written less than `rewrite_s` seconds ago is new enough: another instance did it."""
        self._hosts = database["hosts"]
        self._rewrite_s = rewrite_s

    async def record(self, beats: list[Beat]) -> Changes:
        mark = secrets.token_hex(8)
        ids = [beat.host for beat in beats]
        await self._hosts.bulk_write(self._writes(beats, mark), ordered=False)
        found = self._hosts.find(
            {"_id": {"$in": ids}, "$or": [{"presence.mark": mark}, {"facts_mark": mark}]},
            {"revision": 1, "presence.mark": 1, "facts_mark": 1},
        )
        marked = await found.to_list(None)
        return Changes(
            online={each["_id"]: each["revision"] for each in marked if each["presence"].get("mark") == mark},
            facts={each["_id"]: each["revision"] for each in marked if each.get("facts_mark") == mark},
        )

    def _writes(self, beats: list[Beat], mark: str) -> list[UpdateMany | UpdateOne]:
        writes: list[UpdateMany | UpdateOne] = []
        for (idc, second, open_tasks), hosts in grouped(beats).items():
            these = {"_id": {"$in": hosts}, "idc": idc, "revoked": False}
            written = {"presence.last_seen": {"$gte": at(second - self._rewrite_s)}, "presence.open_tasks": open_tasks}
            writes += [
                UpdateMany(
                    {**these, "$nor": [written]},
                    {"$max": {"presence.last_seen": at(second)}, "$set": {"presence.open_tasks": open_tasks}},
                ),
                UpdateMany(
                    {**these, "presence.online": False}, {"$set": {"presence.online": True, "presence.mark": mark}}
                ),
            ]
        writes += [_facts_write(beat, beat.facts, mark) for beat in beats if beat.facts is not None]
        return writes

    async def take_silent(self, heard_before: datetime) -> dict[str, int]:
        """Mark up to SWEPT_AT_ONCE hosts offline that were last heard before; host → revision of those marked here."""
        silent: dict[str, Any] = {"presence.online": True, "presence.last_seen": {"$lt": heard_before}}
        found = await self._hosts.find(silent, {"_id": 1}).limit(SWEPT_AT_ONCE).to_list(None)
        these = {"_id": {"$in": [each["_id"] for each in found]}}
        if not found:
            return {}
        mark = secrets.token_hex(8)
        await self._hosts.update_many({**these, **silent}, {"$set": {"presence.online": False, "presence.mark": mark}})
        marked = await self._hosts.find({**these, "presence.mark": mark}, {"revision": 1}).to_list(None)
        return {each["_id"]: each["revision"] for each in marked}


def _facts_write(beat: Beat, facts: HostFacts, mark: str) -> UpdateOne:
    digest, ips = facts_hash(facts), addresses(facts)
    values = {
        "facts": msgspec.to_builtins(facts),
        "facts_hash": digest,
        "facts_mark": mark,
        "hostname": canonical_hostname(facts.hostname),
        "ips": list(ips),
        FIELD: keys(ips),
    }
    return UpdateOne(
        {"_id": beat.host, "idc": beat.idc, "revoked": False, "facts_hash": {"$ne": digest}}, {"$set": values}
    )
