"""Scripts, versions and texts in MongoDB. A text is kept once, by its sha256, however many versions have it."""

from collections.abc import AsyncIterator, Collection, Iterable
from datetime import datetime
from typing import Any

import msgspec
from pymongo import ASCENDING, DESCENDING, IndexModel

from contracts.scripts import Lint, ListScripts, Script, ScriptVersion, VersionState
from runtime.mongo import Database, Document, DuplicateKeyError, Session, together
from runtime.revisions import Revisions

_LAST_CHARACTER = "\U0010ffff"
_ONLINE = {"state": VersionState.ONLINE.value}


class ScriptStore:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._scripts = database["scripts"]
        self.revisions = Revisions(self._scripts, "script.changed_meanwhile", "the script {}")
        self._versions = database["script_versions"]
        self._texts = database["script_texts"]

    async def prepare(self) -> None:
        await self._scripts.create_indexes(
            [IndexModel([(field, ASCENDING), ("_id", ASCENDING)]) for field in ("tags", "kind", "owner")]
        )
        await self._versions.create_indexes(
            [
                IndexModel([("script", ASCENDING), ("number", DESCENDING)], unique=True),
                IndexModel([("script", ASCENDING)], name="one_online", unique=True, partialFilterExpression=_ONLINE),
            ]
        )

    async def get(self, name: str) -> Script | None:
        document = await self._scripts.find_one({"_id": name})
        return _script(document) if document else None

    async def page(self, asked: ListScripts, tags: Collection[str] | None) -> list[Script]:
        """Up to one more than asked for, which tells that there is a next page. `tags`: only those with one of them."""
        query: dict[str, Any] = {"_id": {"$gt": asked.after}}
        if asked.search:
            query["_id"] |= {"$gte": asked.search, "$lt": asked.search + _LAST_CHARACTER}
        if asked.kinds:
            query["kind"] = {"$in": list(asked.kinds)}
        if asked.owner:
            query["owner"] = asked.owner
        wanted = [{"tags": {"$in": sorted(each)}} for each in (asked.tags, tags) if each]
        if tags is not None and not tags:
            return []
        if wanted:
            query["$and"] = wanted
        found = self._scripts.find(query).sort("_id", ASCENDING).limit(asked.limit + 1)
        return [_script(document) async for document in found]

    async def version(self, name: str, number: int) -> ScriptVersion | None:
        document = await self._versions.find_one({"script": name, "number": number})
        return _version(document) if document else None

    async def versions(self, name: str, before: int, limit: int) -> list[ScriptVersion]:
        """Newest first, those with a smaller number than `before`."""
        query = {"script": name, "number": {"$lt": before}}
        found = self._versions.find(query).sort("number", DESCENDING).limit(limit)
        return [_version(document) async for document in found]

    async def shas(self, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
        """(Script, version) → sha256 of its text."""
        ids = [_id(name, number) for name, number in wanted]
        found = self._versions.find({"_id": {"$in": ids}}, {"script": 1, "number": 1, "sha256": 1})
        return {(each["script"], each["number"]): each["sha256"] async for each in found}

    async def every_version(self) -> AsyncIterator[tuple[Script, int, str]]:
        """Script, number and sha256 of all that is stored, script by script."""
        async for document in self._scripts.find({"_id": {"$gt": ""}}).sort("_id", ASCENDING):
            script = _script(document)
            found = self._versions.find({"script": script.name}, {"number": 1, "sha256": 1}).sort("number", DESCENDING)
            async for version in found:
                yield script, version["number"], version["sha256"]

    async def text(self, sha256: str) -> str:
        return (await self.texts([sha256]))[sha256]

    async def texts(self, sha256s: Collection[str]) -> dict[str, str]:
        found = self._texts.find({"_id": {"$in": list(sha256s)}}, {"text": 1})
        return {each["_id"]: each["text"] async for each in found}

    async def sizes(self, sha256s: Collection[str]) -> dict[str, int]:
        found = self._texts.find({"_id": {"$in": list(sha256s)}}, {"bytes": 1})
        return {each["_id"]: each["bytes"] async for each in found}

    async def add(self, script: Script, version: ScriptVersion, text: str) -> bool:
        """A new script with its first version; False if somebody made one of that name."""
        await self._keep(version, text)

        async def work(session: Session) -> None:
            await self._scripts.insert_one(_document(script), session=session)
            await self._versions.insert_one(_version_document(script.name, version), session=session)

        try:
            await together(self._database, work)
        except DuplicateKeyError:
            return False
        return True

    async def save(self, before: Script, after: Script, version: ScriptVersion, text: str) -> bool:
        """A new version; False if the script has moved on from `before`."""
        await self._keep(version, text)

        async def work(session: Session) -> bool:
            if not await self._replace(before, after, session):
                return False
            await self._versions.insert_one(_version_document(after.name, version), session=session)
            return True

        return await together(self._database, work)

    async def change(self, before: Script, after: Script) -> bool:
        """False if the script has moved on from `before`."""
        return await self._replace(before, after, None)

    async def move(self, before: Script, after: Script, number: int, to: VersionState, lint: Lint) -> bool:
        """Move a version. False if the script has moved on."""

        async def work(session: Session) -> bool:
            if not await self._replace(before, after, session):
                return False
            await self._set(before.name, number, {"state": to, "lint": msgspec.to_builtins(lint)}, session)
            return True

        return await together(self._database, work)

    async def _keep(self, version: ScriptVersion, text: str) -> None:
        """Before anything names it; a text that nobody names in the end is kept for nothing, and harms nobody."""
        kept = {"text": text, "bytes": version.bytes}
        await self._texts.update_one({"_id": version.sha256}, {"$setOnInsert": kept}, upsert=True)

    async def _replace(self, before: Script, after: Script, session: Session | None) -> bool:
        """With another version online, the one before is retired."""
        same = {"_id": before.name, "revision": before.revision}
        update = self.revisions.update(_document(before), _document(after))
        if not (await self._scripts.update_one(same, update, session=session)).modified_count:
            return False
        if before.online and before.online != after.online:
            await self._set(before.name, before.online, {"state": VersionState.RETIRED}, session)
        return True

    async def _set(self, name: str, number: int, fields: Document, session: Session | None) -> None:
        await self._versions.update_one({"_id": _id(name, number)}, {"$set": fields}, session=session)


def _id(name: str, number: int) -> str:
    return f"{name}@{number}"


def _document(script: Script) -> Document:
    document: Document = msgspec.to_builtins(script, builtin_types=(datetime,))
    return {"_id": document.pop("name"), **document}


def _script(document: Document) -> Script:
    return msgspec.convert({**document, "name": document["_id"]}, Script)


def _version_document(name: str, version: ScriptVersion) -> Document:
    document: Document = msgspec.to_builtins(version, builtin_types=(datetime,))
    return {"_id": _id(name, version.number), "script": name, **document}


def _version(document: Document) -> ScriptVersion:
    return msgspec.convert(document, ScriptVersion)
