"""What can be done with the depot's files, bytes aside. Each public method is one use case."""

from collections.abc import Callable

import structlog

from contracts.errors import Conflict, Invalid, NotFound
from contracts.files import (
    ChangeFile,
    File,
    FileRef,
    Files,
    FileVersions,
    FindVersion,
    ForgetFile,
    Forgotten,
    FoundVersion,
    ListFiles,
    ListFileVersions,
    RecordFile,
)
from contracts.people import Principal
from runtime.mongo import now
from services.config.files import model
from services.config.files.store import FileStore

log = structlog.get_logger()

TURNS = 5
_NEWEST = 2**31


class FileService:
    def __init__(self, store: FileStore) -> None:
        self._store = store

    async def list(self, request: ListFiles, _: Principal) -> Files:
        found = await self._store.page(request)
        page = found[: request.limit]
        return Files(files=page, next=page[-1].name if len(found) > request.limit else "")

    async def show(self, request: FileRef, _: Principal) -> File:
        return await self._get(request.name)

    async def versions(self, request: ListFileVersions, _: Principal) -> FileVersions:
        await self._get(request.name)
        found = await self._store.versions(request.name, _number(request.after), request.limit + 1)
        page = found[: request.limit]
        return FileVersions(versions=page, next=str(page[-1].number) if len(found) > request.limit else "")

    async def find(self, request: FindVersion, _: Principal) -> FoundVersion:
        file = await self._get(request.name)
        if request.version in {0, file.newest.number}:
            return FoundVersion(kind=file.kind, version=file.newest)
        found = await self._store.version(request.name, request.version)
        if found is None:
            raise NotFound(
                "file.version_unknown",
                f"{request.name} has no version {request.version}; its newest is {file.newest.number}.",
            )
        return FoundVersion(kind=file.kind, version=found)

    async def record(self, request: RecordFile, by: Principal) -> File:
        for _ in range(TURNS):
            before = await self._store.get(request.name)
            if before is None:
                made = model.first(request, by.name, now())
                if await self._store.add(made):
                    log.info("file.recorded", file=made.name, version=1, by=by.name)
                    return made
                continue
            after = model.next_version(before, request, by.name, now())
            if after is before or await self._store.save(before, after):
                log.info("file.recorded", file=after.name, version=after.newest.number, by=by.name)
                return after
        raise Conflict("file.changed_meanwhile", f"{request.name} is changed by others all the time. Try again.")

    async def change(self, request: ChangeFile, by: Principal) -> File:
        return await self._settled(
            request.name,
            request.revision,
            lambda file: model.changed(file, request, by.name, now()),
        )

    async def forget(self, request: ForgetFile, by: Principal) -> Forgotten:
        for _ in range(TURNS):
            file = await self._get(request.name)
            await self._store.revisions.check(request.revision, file.revision, file.name)
            freed = await self._store.forget(file)
            if freed is not None:
                log.info("file.forgotten", file=file.name, by=by.name)
                return Forgotten(name=file.name, freed=list(freed))
        raise Conflict("file.changed_meanwhile", f"{request.name} is changed by others all the time. Try again.")

    async def _settled(self, name: str, seen: int | None, change: Callable[[File], File]) -> File:
        for _ in range(TURNS):
            before = await self._get(name)
            await self._store.revisions.check(seen, before.revision, name)
            after = change(before)
            if after is before or await self._store.save(before, after):
                return after
        raise Conflict("file.changed_meanwhile", f"{name} is changed by others all the time. Try again.")

    async def _get(self, name: str) -> File:
        file = await self._store.get(name)
        if file is None:
            raise NotFound("file.unknown", f"There is no file {name} in the depot.")
        return file


def _number(after: str) -> int:
    if not after:
        return _NEWEST
    if not after.isdecimal() or len(after) > 10:
        raise Invalid("bus.malformed", "The request does not fit: `after` is the `next` of the page before.")
    return int(after)
