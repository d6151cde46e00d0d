"""Works at imports, one at a time over all instances: whoever holds the lease plans and applies what is waiting.

An instance that dies in the middle loses its lease; the next begins the import anew.
"""

import asyncio
from contextlib import suppress
from typing import Self

import structlog

from contracts.errors import ServiceError
from contracts.imports import Import, ImportCounts, ImportEnded, ImportState, import_ended
from runtime.background import ended
from runtime.bus import Bus
from runtime.mongo import PyMongoError
from services.resources.imports.comparing import Comparison, Stores
from services.resources.leases import LeaseStore
from services.resources.sources.service import SourceService

log = structlog.get_logger()

LEASE = "imports"
LEASE_S = 20.0
LOOK_EVERY_S = 2.0
"""Work that came through another instance is seen so late."""


class ImportWorker:
    def __init__(self, stores: Stores, leases: LeaseStore, bus: Bus) -> None:
        self._stores, self._leases, self._bus = stores, leases, bus
        self._sources: SourceService | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._forever(), name="imports")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            await ended(self._task)
        with suppress(PyMongoError):
            await self._leases.give_up(LEASE)

    def asks(self, sources: SourceService) -> None:
        """Whom to ask; said before the work begins, since the two know each other."""
        self._sources = sources

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    async def _forever(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._turn()
            except PyMongoError as error:
                log.warning("imports.failed", error=f"{type(error).__name__}: {error}"[:300])
            except Exception:
                log.exception("imports.crashed")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_EVERY_S)

    async def _turn(self) -> None:
        while await self._leases.hold(LEASE, LEASE_S):
            if self._sources is not None:
                await self._sources.begin_due()
            work = await self._stores.imports.waiting()
            if work is None:
                return
            renewing = asyncio.create_task(self._renew(), name="imports: lease")
            try:
                await self._work(work)
            finally:
                await ended(renewing)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 4)
            await self._leases.hold(LEASE, LEASE_S)

    async def _work(self, work: Import) -> None:
        """A crash ends the import, or it would keep all others waiting for ever; without MongoDB it is begun anew."""
        try:
            await (self._fetch if work.state is ImportState.FETCHING else self._do)(work)
        except PyMongoError:
            raise
        except Exception:
            log.exception("import.crashed", id=work.id)
            crash = ServiceError()
            await self._ended(work, ImportState.FAILED, Comparison(self._stores, work), crash.reason, crash.message)

    async def _do(self, work: Import) -> None:
        imports = self._stores.imports
        comparison = Comparison(self._stores, work)
        state, reason, message = _GOOD[work.state], "", ""
        await imports.forget_rows(work.id)
        try:
            async for rows in comparison.run(await imports.text(work.id)):
                await imports.put_rows(work.id, rows)
                if not await self._leases.hold(LEASE, LEASE_S):  # too slow: another instance has begun it anew
                    log.warning("import.lease_lost", id=work.id)
                    return
        except ServiceError as error:
            state, reason, message = ImportState.FAILED, error.reason, error.message
        await self._ended(work, state, comparison, reason, message)

    async def _fetch(self, work: Import) -> None:
        """Ask the source; what it says is planned or applied next."""
        try:
            if self._sources is not None:
                await self._sources.fetch(work)
        except ServiceError as error:
            await self._ended(work, ImportState.FAILED, Comparison(self._stores, work), error.reason, error.message)
            return
        state = ImportState.PLANNING if work.dry_run else ImportState.APPLYING
        await self._stores.imports.move(work.id, [work.state], state=state.value)

    async def _ended(self, work: Import, state: ImportState, comparison: Comparison, reason: str, message: str) -> None:
        counts = comparison.told if state is not ImportState.FAILED else ImportCounts(done=comparison.counts["done"])
        await self._stores.imports.ended(work, state, counts, reason=reason, message=message)
        log.info("import.ended", id=work.id, state=state, reason=reason, done=counts.done, by=work.by)
        await self._bus.announce(import_ended, ImportEnded(id=work.id, source=work.rules.source, state=state))


_GOOD = {ImportState.PLANNING: ImportState.PLANNED, ImportState.APPLYING: ImportState.APPLIED}
