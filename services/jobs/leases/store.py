"""Leases in MongoDB. All times are the server's, so instances need no common clock."""

from collections.abc import Iterable

from runtime.mongo import Database

KEPT_S = 3600
"""How long a lease that ran out stays for people to see."""


class LeaseStore:
    def __init__(self, database: Database) -> None:
        self._leases = database["leases"]

    async def prepare(self) -> None:
        await self._leases.create_index([("expires_at", 1)], expireAfterSeconds=KEPT_S)

    async def renew(self, instance: str, lease_s: float) -> None:
        later = {"$add": ["$$NOW", int(lease_s * 1000)]}
        await self._leases.update_one({"_id": instance}, [{"$set": {"expires_at": later}}], upsert=True)

    async def give_up(self, instance: str) -> None:
        await self._leases.delete_one({"_id": instance})

    async def valid(self, instances: Iterable[str]) -> set[str]:
        """Of these instances, those whose lease has not run out."""
        query = {"_id": {"$in": list(instances)}, "$expr": {"$gt": ["$expires_at", "$$NOW"]}}
        return {each["_id"] async for each in self._leases.find(query, {"_id": 1})}
