"""API tokens in MongoDB: collection `api_tokens`. A withdrawn one stays until it would have expired."""

from datetime import datetime

import msgspec

from contracts.permissions import Scope
from runtime.mongo import Database, Document
from services.gateway.people.model import KnownPerson
from services.gateway.tokens.model import KnownToken


class TokenStore:
    def __init__(self, database: Database) -> None:
        self._tokens = database["api_tokens"]

    async def prepare(self) -> None:
        await self._tokens.create_index("hash", unique=True)
        await self._tokens.create_index([("owner", 1), ("_id", 1)])
        await self._tokens.create_index("expires_at", expireAfterSeconds=0)

    async def add(self, token: KnownToken) -> None:
        await self._tokens.insert_one(_document(token))

    async def find(self, hashed: str) -> KnownToken | None:
        document = await self._tokens.find_one({"hash": hashed})
        return None if document is None else _token(document)

    async def page(self, owner: KnownPerson, now: datetime, after: str, limit: int) -> list[KnownToken]:
        """Those that work, sorted by id."""
        which = {
            "owner": owner.name,
            "_id": {"$gt": after},
            "version": owner.version,
            "expires_at": {"$gt": now},
            "withdrawn": False,
        }
        cursor = self._tokens.find(which).sort("_id", 1).limit(limit)
        return [_token(document) async for document in cursor]

    async def used(self, key: str, at: datetime) -> None:
        await self._tokens.update_one({"_id": key}, {"$max": {"last_used_at": at}})

    async def withdraw(self, owner: str, key: str) -> KnownToken | None:
        """None if the owner has no such token. Withdrawing twice is the same as once."""
        document = await self._tokens.find_one_and_update({"_id": key, "owner": owner}, {"$set": {"withdrawn": True}})
        return None if document is None else _token({**document, "withdrawn": True})


def _document(token: KnownToken) -> Document:
    return {
        "_id": token.id,
        "hash": token.hash,
        "owner": token.owner,
        "version": token.version,
        "label": token.label,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "permissions": token.permissions,
        "scope": msgspec.to_builtins(token.scope),
        "last_used_at": token.last_used_at,
        "withdrawn": token.withdrawn,
    }


def _token(document: Document) -> KnownToken:
    permissions = document["permissions"]
    return KnownToken(
        id=document["_id"],
        hash=document["hash"],
        owner=document["owner"],
        version=document["version"],
        label=document["label"],
        created_at=document["created_at"],
        expires_at=document["expires_at"],
        permissions=None if permissions is None else tuple(permissions),
        scope=msgspec.convert(document["scope"], Scope),
        last_used_at=document["last_used_at"],
        withdrawn=document["withdrawn"],
    )
