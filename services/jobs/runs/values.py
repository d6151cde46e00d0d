"""What is sealed for each host of a wave, until then encrypted in MongoDB."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from pymongo import ASCENDING, IndexModel

from runtime.mongo import Database
from services.jobs.once import insert_once

KEPT_S = 5 * 86_400
"""Longer than any host may take to come back and run."""


class ValueStore:
    def __init__(self, database: Database) -> None:
        self._values = database["host_values"]

    async def prepare(self) -> None:
        await self._values.create_indexes([IndexModel([("at", ASCENDING)], expireAfterSeconds=KEPT_S)])

    async def add(self, task: str, closed: Mapping[str, bytes]) -> None:
        """What another holder of the run added before stays, for it may have been sent already."""
        at = datetime.now(UTC)
        await insert_once(
            self._values, [{"_id": f"{task}:{host}", "sealed": sealed, "at": at} for host, sealed in closed.items()]
        )

    async def there(self, task: str, hosts: Iterable[str]) -> set[str]:
        """The hosts among these for which something was added. Read from the index alone."""
        found = self._values.find({"_id": {"$in": [f"{task}:{host}" for host in hosts]}}, {"_id": 1})
        return {each["_id"].removeprefix(f"{task}:") async for each in found}

    async def of(self, task: str, hosts: Iterable[str]) -> dict[str, bytes]:
        """Host → what was added for it."""
        found = self._values.find({"_id": {"$in": [f"{task}:{host}" for host in hosts]}})
        return {each["_id"].removeprefix(f"{task}:"): each["sealed"] async for each in found}
