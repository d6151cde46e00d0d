"""Defining sources, asking them, and turning their pages into imports. Each public method is one use case."""

import json
from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial

import msgspec
import structlog

from contracts.errors import Invalid, NotFound
from contracts.imports import (
    MOST_BYTES,
    PIECE_CHARACTERS,
    Format,
    Import,
    ImportCounts,
    ImportState,
)
from contracts.people import Principal
from contracts.sources import DeleteSource, ListSources, PutSource, RunSource, Source, SourceRef, Sources
from runtime import ids, revisions
from runtime.audit import note
from runtime.mongo import now
from runtime.signing import Box, CannotOpen
from services.resources.imports.store import ImportStore
from services.resources.sources import client, model
from services.resources.sources.store import SourceStore
from services.resources.virtual import importing
from services.resources.virtual.store import VirtualStore

log = structlog.get_logger()


class SourceService:
    def __init__(
        self,
        sources: SourceStore,
        imports: ImportStore,
        virtual: VirtualStore,
        box: Box,
        wake: Callable[[], None],
        *,
        allowed: Collection[str],
    ) -> None:
        """`allowed` are the hosts, with or without a port, that may be asked."""
        self._sources, self._imports, self._virtual, self._box = sources, imports, virtual, box
        self._wake, self._allowed = wake, allowed

    async def put(self, request: PutSource, principal: Principal) -> Source:
        model.check(request, self._allowed)
        while True:
            before = await self._sources.get(request.name)
            await self._sources.revisions.check(request.revision, before.revision if before else 0, request.name)
            source = _put(request, before, principal)
            secret = await self._secret(request, before)
            model.check_complete(request.mapping, has_secret=bool(secret))
            if await self._sources.save(msgspec.structs.replace(source, has_secret=bool(secret)), before, secret):
                log.info("source.put", source=source.name, by=principal.name)
                return msgspec.structs.replace(source, has_secret=bool(secret))

    async def _secret(self, request: PutSource, before: Source | None) -> bytes:
        """As it is kept. Raises Invalid."""
        if request.secret is not None:
            return self._box.close(request.secret.encode()) if request.secret else b""
        if before is None or not before.has_secret:
            return b""
        if not model.same_place(before.mapping.url, request.mapping.url):
            raise Invalid("source.secret_missing", "The address leads to another server: give its secret as well.")
        return await self._sources.closed_secret(request.name)

    async def show(self, request: SourceRef, _: Principal) -> Source:
        return await self._get(request.name)

    async def list(self, request: ListSources, _: Principal) -> Sources:
        found = await self._sources.page(request)
        page = found[: request.limit]
        return Sources(sources=page, next=page[-1].name if len(found) > request.limit else "")

    async def delete(self, request: DeleteSource, principal: Principal) -> Source:
        """Hosts that it named stay as they are. An import that is asking it fails, since there is none to ask; one
        that is asked already is applied."""
        while True:
            source = await self._get(request.name)
            await self._sources.revisions.check(request.revision, source.revision, source.name)
            if await self._virtual.end(importing.collector(source.name), partial(self._sources.remove, source)):
                note(before=source)
                log.info("source.deleted", source=source.name, by=principal.name)
                return source

    async def forsake_if_deleted(self, work: Import) -> None:
        """What an import brought that was applied after its source was deleted is stale like the rest."""
        if work.virtual is not None and await self._sources.get(work.rules.source) is None:
            await self._virtual.forsake(importing.collector(work.rules.source))

    async def run(self, request: RunSource, principal: Principal) -> Import:
        begun = await self._begin(await self._get(request.name), principal.name, dry_run=request.dry_run)
        self._wake()
        return begun

    async def begin_due(self) -> None:
        """Begin the imports whose time has come. Only for whoever works at imports: nobody else does it then."""
        while (source := await self._sources.due()) is not None:
            await self._begin(source, f"source {source.name}", dry_run=False)

    async def fetch(self, work: Import) -> None:
        """Put what the source has now into the import as its text. Raises Invalid, NotFound or Unavailable."""
        source = await self._get(work.rules.source)
        await self._imports.forget_pieces(work.id)
        text, number, dot = "[", 0, ""
        try:
            secret = (
                self._box.open(closed).decode() if (closed := await self._sources.closed_secret(source.name)) else ""
            )
        except CannotOpen:
            raise Invalid("source.secret_missing", "The secret cannot be opened with the service's key.") from None
        model.check_secret(source.mapping, secret)
        async for rows in client.pages(source.mapping, secret, self._allowed):
            for row in rows:
                text += dot + json.dumps(row)
                dot = ","
            while len(text) > PIECE_CHARACTERS:
                await self._imports.put_piece(work.id, number, text[:PIECE_CHARACTERS], most=MOST_BYTES)
                text, number = text[PIECE_CHARACTERS:], number + 1
        await self._imports.put_piece(work.id, number, text + "]", most=MOST_BYTES)

    async def _begin(self, source: Source, by: str, *, dry_run: bool) -> Import:
        at = now()
        begun = Import(
            id=f"i{ids.run_id()}",
            format=Format.JSON,
            rules=source.rules,
            state=ImportState.FETCHING,
            by=by,
            created_at=at,
            ended_at=None,
            counts=ImportCounts(),
            reason="",
            message="",
            dry_run=dry_run,
            virtual=source.virtual,
        )
        next_at = at + timedelta(seconds=source.every_s) if source.every_s else None
        await self._sources.note_import(source.name, begun.id, next_at)
        await self._imports.add(begun)
        log.info("import.begun", id=begun.id, source=source.name, by=by)
        return begun

    async def _get(self, name: str) -> Source:
        source = await self._sources.get(name)
        if source is None:
            raise NotFound("source.unknown", f"There is no source {name}.")
        return source


def _put(request: PutSource, before: Source | None, principal: Principal) -> Source:
    at = now()
    return Source(
        name=request.name,
        mapping=request.mapping,
        rules=msgspec.structs.replace(request.rules, source=request.name),
        has_secret=False,
        every_s=request.every_s,
        enabled=request.enabled,
        next_at=at + timedelta(seconds=request.every_s) if request.every_s else None,
        last_import=before.last_import if before else "",
        virtual=request.virtual,
        **revisions.marks(before.revision + 1 if before else 1, principal.name, at),
    )
