"""Files in MongoDB: `files` by name with the newest version inside, `file_versions` with every version."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from pymongo import ASCENDING, DESCENDING, IndexModel

from contracts.files import File, FileKind, FileVersion, ListFiles
from runtime.mongo import Database, Document, DuplicateKeyError, Session, together
from runtime.revisions import Revisions

_LAST_CHARACTER = "\U0010ffff"


class FileStore:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._files = database["files"]
        self.revisions = Revisions(self._files, "file.changed_meanwhile", "{}")
        self._versions = database["file_versions"]

    async def prepare(self) -> None:
        await self._files.create_indexes(
            [IndexModel([(field, ASCENDING), ("_id", ASCENDING)]) for field in ("tags", "kind")]
        )
        await self._versions.create_indexes(
            [
                IndexModel([("file", ASCENDING), ("number", DESCENDING)], unique=True),
                IndexModel([("sha256", ASCENDING)]),
            ]
        )

    async def get(self, name: str) -> File | None:
        document = await self._files.find_one({"_id": name})
        return _file(document) if document else None

    async def page(self, asked: ListFiles) -> list[File]:
        """Up to one more than asked for, which tells that there is a next page."""
        query: dict[str, Any] = {"_id": {"$gt": asked.after}}
        if asked.search:
            query["_id"] |= {"$gte": asked.search, "$lt": asked.search + _LAST_CHARACTER}
        if asked.kinds:
            query["kind"] = {"$in": list(asked.kinds)}
        if asked.tags:
            query["tags"] = {"$all": list(asked.tags)}
        found = self._files.find(query).sort("_id", ASCENDING).limit(asked.limit + 1)
        return [_file(document) async for document in found]

    async def versions(self, name: str, before: int, limit: int) -> list[FileVersion]:
        """Newest first, those with a smaller number than `before`."""
        found = self._versions.find({"file": name, "number": {"$lt": before}}).sort("number", DESCENDING).limit(limit)
        return [_version(document) async for document in found]

    async def version(self, name: str, number: int) -> FileVersion | None:
        document = await self._versions.find_one({"file": name, "number": number})
        return _version(document) if document else None

    async def add(self, file: File) -> bool:
        """A new file with its first version; False if somebody made one of that name meanwhile."""

        async def work(session: Session) -> None:
            await self._files.insert_one(_document(file), session=session)
            await self._versions.insert_one(_version_document(file.name, file.newest), session=session)

        try:
            await together(self._database, work)
        except DuplicateKeyError:
            return False
        return True

    async def save(self, before: File, after: File) -> bool:
        """False if the file has moved on from `before`."""

        async def work(session: Session) -> bool:
            done = await self._files.update_one(
                {"_id": before.name, "revision": before.revision},
                self.revisions.update(_document(before), _document(after)),
                session=session,
            )
            if done.modified_count and after.newest.number > before.newest.number:
                await self._versions.insert_one(_version_document(after.name, after.newest), session=session)
            return bool(done.modified_count)

        return await together(self._database, work)

    async def forget(self, file: File) -> Sequence[FileVersion] | None:
        """Remove the file and its versions. Those whose content no other file has; None if it has moved on."""

        async def work(session: Session) -> list[FileVersion] | None:
            done = await self._files.delete_one({"_id": file.name, "revision": file.revision}, session=session)
            if not done.deleted_count:
                return None
            gone = [_version(each) async for each in self._versions.find({"file": file.name}, session=session)]
            await self._versions.delete_many({"file": file.name}, session=session)
            wanted = list({version.sha256 for version in gone})
            kept = await self._versions.distinct("sha256", {"sha256": {"$in": wanted}}, session=session)
            return list({each.sha256: each for each in gone if each.sha256 not in kept}.values())

        return await together(self._database, work)


def _document(file: File) -> Document:
    document: Document = msgspec.to_builtins(file, builtin_types=(datetime,))
    return {"_id": document.pop("name"), **document}


def _file(document: Document) -> File:
    return msgspec.convert({**document, "name": document["_id"], "kind": FileKind(document["kind"])}, File)


def _version_document(name: str, version: FileVersion) -> Document:
    document: Document = msgspec.to_builtins(version, builtin_types=(datetime,))
    return {"_id": f"{name}:{version.number}", "file": name, **document}


def _version(document: Document) -> FileVersion:
    return msgspec.convert(document, FileVersion)
