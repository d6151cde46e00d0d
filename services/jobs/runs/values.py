"""What is sealed for each host of a wave, until then encrypted in MongoDB."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from pymongo import ASCENDING, IndexModel, ReplaceOne

from runtime.mongo import Database

KEPT_S = 5 * 86_400
"""Longer than any host may take to come back and run."""


class ValueStore:
    def __init__(self, database: Database) -> None:
        self._values = database["host_values"]

    async def prepare(self) -> None:
        await self._values.create_indexes([IndexModel([("at", ASCENDING)], expireAfterSeconds=KEPT_S)])

    async def add(self, task: str, closed: Mapping[str, bytes]) -> None:
        """Before the wave itself, so that whoever conducts it finds them. A try that came to nothing may have added
        some: they are replaced."""
        at = datetime.now(UTC)
        documents = [{"_id": f"{task}:{host}", "sealed": sealed, "at": at} for host, sealed in closed.items()]
        await self._values.bulk_write([ReplaceOne({"_id": d["_id"]}, d, upsert=True) for d in documents], ordered=False)

    async def of(self, task: str, hosts: Iterable[str]) -> dict[str, bytes]:
        """Host → what was added for it."""
        found = self._values.find({"_id": {"$in": [f"{task}:{host}" for host in hosts]}})
        return {each["_id"].removeprefix(f"{task}:"): each["sealed"] async for each in found}
