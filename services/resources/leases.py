"""Work that only one instance may do at a time. All times are the database's, so instances need no common clock."""

from contextlib import suppress
from datetime import UTC, datetime

from runtime.mongo import Database, DuplicateKeyError


class LeaseStore:
    def __init__(self, database: Database, holder: str) -> None:
        self._leases, self._holder = database["leases"], holder

    async def hold(self, work: str, lasts_s: float) -> bool:
        """Take the lease, or make it last longer; False if another instance has it."""
        ended = {"$expr": {"$lte": ["$until", "$$NOW"]}}
        until = {"$add": ["$$NOW", int(lasts_s * 1000)]}
        free = {"$setOnInsert": {"holder": "", "until": datetime.fromtimestamp(0, UTC)}}
        with suppress(DuplicateKeyError):  # another instance was faster
            await self._leases.update_one({"_id": work}, free, upsert=True)
        done = await self._leases.update_one(
            {"_id": work, "$or": [{"holder": self._holder}, ended]},
            [{"$set": {"holder": self._holder, "until": until}}],
        )
        return done.matched_count == 1

    async def give_up(self, work: str) -> None:
        await self._leases.delete_one({"_id": work, "holder": self._holder})
