"""Documents of variables in MongoDB. Speaks records outwards and documents inwards; secrets are boxed at rest.

`variables` has the newest version of each scope and what a search finds it by, `variable_versions` every version.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET
from pymongo import ASCENDING, DESCENDING, IndexModel

from contracts.runs import MASK
from contracts.variables import ListVariables
from runtime import revisions
from runtime.mongo import Database, Document, DuplicateKeyError, Session, now, together
from runtime.revisions import PAST, Fields, Revisions
from runtime.signing import Box
from services.config.variables.model import Record, Scope, changes, terms
from services.config.variables.values import Secret, Tree, flatten, masked, scalars

_LAST_CHARACTER = "\U0010ffff"


class Listed(NamedTuple):
    """A document on a page of a list; its values are there only for a search, which is about them."""

    record: Record
    keys: int


class VariableStore:
    def __init__(self, database: Database, box: Box) -> None:
        self._database, self._box = database, box
        self._newest, self._versions = database["variables"], database["variable_versions"]
        self.revisions = Revisions(self._newest, "variables.changed_meanwhile", "{}", _shown)

    async def prepare(self) -> None:
        await self._newest.create_indexes(
            [
                IndexModel([("kind", ASCENDING), ("_id", ASCENDING)]),
                IndexModel([("terms", ASCENDING), ("_id", ASCENDING)]),
                IndexModel([("changed_at", DESCENDING)]),
            ]
        )
        await self._versions.create_indexes([IndexModel([("scope", ASCENDING), ("revision", DESCENDING)], unique=True)])

    async def newest(self, scope: Scope) -> Record | None:
        found = await self._newest.find_one({"_id": str(scope)}, {"terms": 0, PAST: 0})
        return self._record(str(scope), found) if found else None

    async def newest_of(self, scopes: Iterable[str]) -> dict[str, Record]:
        """Of these scopes, those that have variables."""
        found = self._newest.find({"_id": {"$in": list(scopes)}}, {"terms": 0, "text": 0, PAST: 0})
        return {each["_id"]: self._record(each["_id"], each) for each in await found.to_list(None)}

    async def moment(self) -> datetime:
        """Now, but not before anything that was set, whatever the clocks of other instances say."""
        newest = await self._newest.find_one({}, {"changed_at": 1}, sort=[("changed_at", DESCENDING)])
        return max(now(), newest["changed_at"]) if newest else now()

    async def of_moment(self, scopes: Iterable[str], at: datetime) -> dict[str, Record]:
        """Of these scopes, those that had variables then, with what they were."""
        found = await self.newest_of(scopes)
        for scope in [scope for scope, record in found.items() if record.changed_at > at]:
            before = await self._versions.find_one(
                {"scope": scope, "changed_at": {"$lte": at}}, sort=[("revision", DESCENDING)]
            )
            if before:
                found[scope] = self._record(scope, before)
            else:
                del found[scope]
        return found

    async def has_keys(self, scope: str) -> bool:
        return await self._newest.find_one({"_id": scope, "keys": {"$gt": 0}}, {"_id": 1}) is not None

    async def version(self, scope: Scope, revision: int) -> Record | None:
        found = await self._versions.find_one({"scope": str(scope), "revision": revision})
        return self._record(str(scope), found) if found else None

    async def versions(self, scope: Scope, below: int, limit: int) -> list[Document]:
        """Newest first, without their content."""
        query: Document = {"scope": str(scope)} | ({"revision": {"$lt": below}} if below else {})
        fields = {"_id": 0, "revision": 1, "why": 1, "changed_by": 1, "changed_at": 1}
        return await self._versions.find(query, fields).sort("revision", DESCENDING).limit(limit).to_list(None)

    async def page(self, request: ListVariables) -> list[Listed]:
        """Up to one more than asked for, which tells that there is a next page."""
        query: Document = {}
        fields = {"terms": 0, "text": 0, PAST: 0}
        if request.kind is not None:
            query["kind"] = request.kind
        if request.search:
            low = request.search.lower()
            # Of an array $elemMatch holds both ends of the range to the same term.
            query["terms"] = {"$elemMatch": {"$gte": low, "$lt": low + _LAST_CHARACTER}}
        else:
            fields |= {"values": 0, "secrets": 0}
        if request.after:
            query["_id"] = {"$gt": request.after}
        found = self._newest.find(query, fields).sort("_id", ASCENDING).limit(request.limit + 1)
        return [Listed(self._record(each["_id"], each), each["keys"]) for each in await found.to_list(None)]

    async def add(self, record: Record, before: Record) -> bool:
        """Both the version and that it is the newest; False if somebody else was faster."""
        scope, keys = str(record.scope), len(flatten(record.values))
        content, words, were = await asyncio.to_thread(self._prepared, record, before)

        async def write(session: Session) -> None:
            await self._versions.insert_one({"scope": scope, **content}, session=session)
            newest = {"kind": record.scope.kind, "terms": words, "keys": keys, **content}
            update = revisions.update(newest, were) if before.revision else {"$set": newest}
            await self._newest.update_one({"_id": scope}, update, upsert=True, session=session)

        try:
            await together(self._database, write)
        except DuplicateKeyError:
            return False
        return True

    def _prepared(self, record: Record, before: Record) -> tuple[Document, list[str], Fields]:
        differing = changes(before.values, record.values)
        were = {each.key: None if each.before is UNSET else each.before for each in differing}
        return self._content(record), terms(record.values), were

    def _content(self, record: Record) -> Document:
        secrets = [
            {"at": list(at), "box": self._box.close(value.text.encode())}
            for at, value in scalars(record.values)
            if isinstance(value, Secret)
        ]
        return {
            "revision": record.revision,
            "changed_by": record.changed_by,
            "changed_at": record.changed_at,
            "why": record.why,
            "text": record.text,
            "values": msgspec.json.encode(masked(record.values)),
            "secrets": secrets,
        }

    def _record(self, scope: str, found: Document) -> Record:
        values: Tree = msgspec.json.decode(found.get("values", b"{}"))
        for each in found.get("secrets", ()):
            _put(values, each["at"], Secret(self._box.open(each["box"]).decode()))
        return Record(
            scope=Scope.of(scope),
            revision=found["revision"],
            text=found.get("text", ""),
            values=values,
            why=found["why"],
            changed_by=found["changed_by"],
            changed_at=found["changed_at"],
        )


def _shown(document: Document) -> Fields:
    """The flattened keys, as they are kept: secrets masked."""
    return flatten(msgspec.json.decode(document["values"]))


def _put(values: Tree, at: list[str | int], secret: Secret) -> None:
    """Raises KeyError or IndexError if the document was tampered with: its secrets have no place."""
    inside: Any = values
    for part in at[:-1]:
        inside = inside[part]
    if inside[at[-1]] != MASK:
        raise KeyError("no secret belongs here")
    inside[at[-1]] = secret
