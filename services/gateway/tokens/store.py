"""API tokens in MongoDB: collection `api_tokens`. A withdrawn one stays until it would have expired."""

from datetime import datetime

from runtime.mongo import Database, Document
from services.gateway.tokens.model import KnownToken


class TokenStore:
    def __init__(self, database: Database) -> None:
        self._tokens = database["api_tokens"]

    async def prepare(self) -> None:
        await self._tokens.create_index("hash", unique=True)
        await self._tokens.create_index([("owner", 1), ("expires_at", 1)])
        await self._tokens.create_index("expires_at", expireAfterSeconds=0)

    async def add(self, token: KnownToken) -> None:
        await self._tokens.insert_one(_document(token))

    async def find(self, hashed: str) -> KnownToken | None:
        document = await self._tokens.find_one({"hash": hashed})
        return None if document is None else _token(document)

    async def working_of(self, owner: str, now: datetime) -> list[KnownToken]:
        """Soonest to expire first."""
        which = {"owner": owner, "expires_at": {"$gt": now}, "withdrawn": False}
        cursor = self._tokens.find(which).sort("expires_at", 1)
        return [_token(document) async for document in cursor]

    async def withdraw(self, owner: str, key: str) -> KnownToken | None:
        """None if the owner has no such token. Withdrawing twice is the same as once."""
        document = await self._tokens.find_one_and_update({"_id": key, "owner": owner}, {"$set": {"withdrawn": True}})
        return None if document is None else _token({**document, "withdrawn": True})


def _document(token: KnownToken) -> Document:
    return {
        "_id": token.id,
        "hash": token.hash,
        "owner": token.owner,
        "label": token.label,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "withdrawn": token.withdrawn,
    }


def _token(document: Document) -> KnownToken:
    return KnownToken(
        id=document["_id"],
        hash=document["hash"],
        owner=document["owner"],
        label=document["label"],
        created_at=document["created_at"],
        expires_at=document["expires_at"],
        withdrawn=document["withdrawn"],
    )
