"""Accounts in MongoDB. Speaks Account outwards and documents inwards."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from pymongo import ASCENDING, IndexModel

from contracts.accounts import Account, ListAccounts
from runtime.mongo import Database, Document, DuplicateKeyError, now
from runtime.names import Kept
from runtime.revisions import Revisions
from services.config.accounts.model import built_in

_LAST_CHARACTER = "\U0010ffff"
_HAS_DEFAULT = {"default_for": {"$gt": ""}}
_ONE_DEFAULT = "one_default_per_group"


class AliasTaken(Exception):
    """There is an account of that alias."""


class DefaultTaken(Exception):
    """One of the groups has another default account."""


class AccountStore:
    def __init__(self, database: Database) -> None:
        self._accounts = database["accounts"]
        self.names = Kept.ids_of(self._accounts)
        self.revisions = Revisions(self._accounts, "account.changed_meanwhile", "the account {}")

    async def prepare(self) -> None:
        """Indexes, and the accounts that are always there; those that are there already stay as they are."""
        await self._accounts.create_indexes(
            [
                IndexModel([("os_user", ASCENDING), ("_id", ASCENDING)]),
                IndexModel([("groups", ASCENDING)]),
                IndexModel([("roles", ASCENDING)]),
                IndexModel(
                    [("default_for", ASCENDING)], name=_ONE_DEFAULT, unique=True, partialFilterExpression=_HAS_DEFAULT
                ),
            ]
        )
        for account in built_in(now()):
            document = _document(account)
            key = {"_id": document.pop("_id")}
            await self._accounts.update_one(key, {"$setOnInsert": document}, upsert=True)

    async def get(self, alias: str) -> Account | None:
        document = await self._accounts.find_one({"_id": alias})
        return _account(document) if document else None

    async def page(self, asked: ListAccounts, within: Collection[str] | None) -> list[Account]:
        """Up to one more than asked for, which tells that there is a next page. `within`: only these aliases."""
        query: dict[str, Any] = {"_id": {"$gt": asked.after}}
        if asked.search:
            query["_id"] |= {"$gte": asked.search, "$lt": asked.search + _LAST_CHARACTER}
        if within is not None:
            query["_id"] |= {"$in": sorted(within)}
        if asked.os_user:
            query["os_user"] = asked.os_user
        found = self._accounts.find(query).sort("_id", ASCENDING).limit(asked.limit + 1)
        return [_account(document) async for document in found]

    async def defaults(self) -> list[Account]:
        """Those that are a default of some group."""
        return [_account(document) async for document in self._accounts.find(_HAS_DEFAULT)]

    async def naming(self, fields: Collection[str], name: str) -> list[str]:
        """Aliases of those that have the name in one of the fields."""
        if not fields:
            return []
        found = self._accounts.find({"$or": [{field: name} for field in fields]}, {"_id": 1})
        return sorted([document["_id"] async for document in found])

    async def add(self, account: Account) -> None:
        """Raises AliasTaken and DefaultTaken."""
        try:
            await self._accounts.insert_one(_document(account))
        except DuplicateKeyError as error:
            raise _taken(error) from error

    async def save(self, before: Account, after: Account) -> bool:
        """False if the account has moved on from `before`. Raises DefaultTaken."""
        try:
            done = await self._accounts.update_one(
                {"_id": before.alias, "revision": before.revision},
                self.revisions.update(_document(before), _document(after)),
            )
        except DuplicateKeyError as error:
            raise _taken(error) from error
        return bool(done.modified_count)

    async def remove(self, account: Account) -> bool:
        """False if the account has moved on."""
        done = await self._accounts.delete_one({"_id": account.alias, "revision": account.revision})
        return bool(done.deleted_count)


def _taken(error: DuplicateKeyError) -> Exception:
    return DefaultTaken() if _ONE_DEFAULT in str(error) else AliasTaken()


def _document(account: Account) -> Document:
    document: Document = msgspec.to_builtins(account, builtin_types=(datetime,))
    return {"_id": document.pop("alias"), **document}


def _account(document: Document) -> Account:
    return msgspec.convert({**document, "alias": document["_id"]}, Account)
