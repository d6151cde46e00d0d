"""Join tokens in MongoDB: never the secret, only its hash."""

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from pymongo import ASCENDING, DESCENDING, IndexModel

from contracts.hosts import CreateJoinToken, JoinToken
from runtime.mongo import Database, Document, Session

LISTED = 1000
KEPT_S = 30 * 86400
"""Tokens stay readable in the database for so long after they expired: they say who let which hosts in."""


@dataclass(frozen=True)
class Admission:
    """What a token gives to the hosts that enrol with it."""

    token: str
    given: CreateJoinToken


class JoinTokenStore:
    def __init__(self, database: Database) -> None:
        self._tokens = database["join_tokens"]

    async def prepare(self) -> None:
        await self._tokens.create_indexes(
            [
                IndexModel([("secret_sha256", ASCENDING)], unique=True),
                IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=KEPT_S),
            ]
        )

    async def add(self, token: JoinToken, given: CreateJoinToken, secret_sha256: str) -> None:
        await self._tokens.insert_one(
            {
                "_id": token.id,
                "secret_sha256": secret_sha256,
                "created_by": token.created_by,
                "created_at": datetime.now(UTC),
                "expires_at": token.expires_at,
                "uses_left": token.uses_left,
                "withdrawn": False,
                "idc": token.idc,
                "given": msgspec.to_builtins(given),
            }
        )

    async def working(self) -> list[JoinToken]:
        """Those that end last come first; at most as many as one message carries."""
        found = self._tokens.find(_works()).sort("expires_at", DESCENDING).limit(LISTED)
        return [_to_token(document) async for document in found]

    async def use(self, secret_sha256: str, session: Session) -> Admission | None:
        """Take one use; None if there is no such token or it does not work any more."""
        document = await self._tokens.find_one_and_update(
            {"secret_sha256": secret_sha256, **_works()}, {"$inc": {"uses_left": -1}}, session=session
        )
        if document is None:
            return None
        return Admission(document["_id"], msgspec.convert(document["given"], CreateJoinToken))

    async def withdraw(self, token: str, by: str) -> JoinToken | None:
        """None if there is no such token. Withdrawing twice changes nothing."""
        await self._tokens.update_one(
            {"_id": token, "withdrawn": False},
            {"$set": {"withdrawn": True, "withdrawn_by": by, "withdrawn_at": datetime.now(UTC)}},
        )
        document = await self._tokens.find_one({"_id": token})
        return _to_token(document) if document else None


def _works() -> Document:
    return {"withdrawn": False, "uses_left": {"$gt": 0}, "expires_at": {"$gt": datetime.now(UTC)}}


def _to_token(document: Document) -> JoinToken:
    return JoinToken(
        id=document["_id"],
        idc=document["idc"],
        expires_at=document["expires_at"],
        uses_left=0 if document["withdrawn"] else document["uses_left"],
        created_by=document["created_by"],
    )
