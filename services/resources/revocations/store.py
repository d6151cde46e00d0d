"""Revoked keys, and the account as it was made, in MongoDB."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo import ASCENDING, IndexModel, ReturnDocument

from runtime.mongo import Database, DuplicateKeyError

_ACCOUNT = "APP"


@dataclass(frozen=True)
class Revocation:
    user_key: str
    issued_until: int
    """Credentials issued up to this second are refused, in seconds since 1970."""
    needed_until: datetime
    """When the last of these credentials expires by itself; the entry is dropped then."""


class RevocationStore:
    def __init__(self, database: Database) -> None:
        self._revocations = database["revocations"]
        self._account = database["account"]

    async def prepare(self) -> None:
        await self._revocations.create_indexes([IndexModel([("needed_until", ASCENDING)], expireAfterSeconds=0)])

    async def add(self, revocation: Revocation, session: AsyncIOMotorClientSession | None = None) -> None:
        """A key that is revoked twice stays revoked up to the later of both times."""
        await self._revocations.update_one(
            {"_id": revocation.user_key},
            {"$max": {"issued_until": revocation.issued_until, "needed_until": revocation.needed_until}},
            upsert=True,
            session=session,
        )

    async def issued_until(self, user_key: str, session: AsyncIOMotorClientSession | None = None) -> int:
        """Credentials of this key must be issued after this second; 0 if it was never revoked."""
        found = await self._revocations.find_one({"_id": user_key}, session=session)
        return int(found["issued_until"]) if found else 0

    async def needed(self) -> dict[str, int]:
        """Every revocation that still matters: user key → issued_until."""
        found = self._revocations.find({"needed_until": {"$gt": datetime.now(UTC)}})
        return {document["_id"]: document["issued_until"] async for document in found}

    async def offer_account(self, jwt: str, issued: int) -> None:
        """Keep this account JWT unless a newer one is kept: in an upgrade, old and new replicas run side by side."""
        try:
            await self._account.update_one(
                {"_id": _ACCOUNT, "made": {"$lt": issued}}, {"$set": {"jwt": jwt, "made": issued}}, upsert=True
            )
        except DuplicateKeyError:
            return  # one as new or newer is there

    async def next_issue(self, now: int) -> tuple[str, int]:
        """The account JWT as made, and the second to date the next signed one with: later than any before.

        Servers that compare notes keep the newer of two JWTs. Who reads the revocations after taking a date has every
        revocation that was stored before an earlier date was taken, so the newest JWT lacks none.
        """
        latest: list[dict[str, Any]] = [
            {"$set": {"issued": {"$max": [now, "$made", {"$add": [{"$ifNull": ["$issued", 0]}, 1]}]}}}
        ]
        document = await self._account.find_one_and_update(
            {"_id": _ACCOUNT}, latest, return_document=ReturnDocument.AFTER
        )
        if document is None:
            raise LookupError("no account JWT was ever offered")
        return document["jwt"], int(document["issued"])
