"""What people do with imports. Each public method is one use case."""

from collections.abc import Callable

import structlog

from contracts.errors import Conflict, Invalid, NotFound
from contracts.imports import (
    MOST_BYTES,
    AddPiece,
    BeginImport,
    Import,
    ImportCounts,
    ImportRef,
    Imports,
    ImportState,
    ListImports,
    ListRows,
    Rows,
)
from contracts.people import Principal
from runtime import ids
from runtime.mongo import now
from runtime.paging import fitting
from services.resources.imports.store import ImportStore

log = structlog.get_logger()

_ENDED = (ImportState.PLANNED, ImportState.FAILED)


class ImportService:
    def __init__(self, imports: ImportStore, wake: Callable[[], None]) -> None:
        """`wake` tells the worker that there is something to do."""
        self._imports, self._wake = imports, wake

    async def begin(self, request: BeginImport, principal: Principal) -> Import:
        begun = Import(
            id=f"i{ids.run_id()}",
            format=request.format,
            rules=request.rules,
            state=ImportState.RECEIVING,
            by=principal.name,
            created_at=now(),
            ended_at=None,
            counts=ImportCounts(),
            reason="",
            message="",
        )
        await self._imports.add(begun)
        if request.text:
            await self._imports.put_piece(begun.id, 0, request.text, most=MOST_BYTES)
        log.info("import.begun", id=begun.id, source=request.rules.source, by=principal.name)
        return begun

    async def add(self, request: AddPiece, _: Principal) -> Import:
        found = await self._get(request.id)
        if found.state is not ImportState.RECEIVING:
            raise Conflict("import.wrong_state", f"The import is {found.state} and takes no more text. Begin another.")
        if not await self._imports.put_piece(request.id, request.number, request.text, most=MOST_BYTES):
            raise Invalid("import.too_large", f"The text has more than {MOST_BYTES >> 20} MiB. Split it by source.")
        return found

    async def plan(self, request: ImportRef, _: Principal) -> Import:
        return await self._go(request, ImportState.PLANNING)

    async def apply(self, request: ImportRef, _: Principal) -> Import:
        return await self._go(request, ImportState.APPLYING)

    async def show(self, request: ImportRef, _: Principal) -> Import:
        return await self._get(request.id)

    async def list(self, request: ListImports, _: Principal) -> Imports:
        found = await self._imports.page(request)
        page = found[: request.limit]
        return Imports(imports=page, next=page[-1].id if len(found) > request.limit else "")

    async def rows(self, request: ListRows, _: Principal) -> Rows:
        await self._get(request.id)
        found = await self._imports.rows(request)
        page = fitting([row for _, row in found[: request.limit]])
        return Rows(rows=page, next=found[len(page) - 1][0] if len(found) > len(page) else "")

    async def _go(self, request: ImportRef, state: ImportState) -> Import:
        found = await self._get(request.id)
        may = (ImportState.RECEIVING, *_ENDED)
        moved = await self._imports.move(request.id, may, state=state.value, ended_at=None, reason="", message="")
        if moved is None:
            now_ = await self._imports.get(request.id) or found
            if now_.state is not state:
                raise Conflict("import.wrong_state", f"The import is {now_.state}, so this cannot be done now.")
            moved = now_
        self._wake()
        return moved

    async def _get(self, name: str) -> Import:
        found = await self._imports.get(name)
        if found is None:
            raise NotFound("import.unknown", f"There is no import {name}.")
        return found
