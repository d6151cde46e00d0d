"""Works at imports: sources are asked several at once, and what they said is planned and applied one by one.

Each is done by whoever holds its lease. An instance that dies in the middle loses its leases; the next begins the
imports anew.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
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
from services.resources.virtual.importing import VirtualComparison

log = structlog.get_logger()

LEASE = "imports"
"""To plan and to apply."""
TIMETABLE = "sources"
"""To begin what is due."""
LEASE_S = 20.0
ASKED_AT_ONCE = 4
"""Sources, by each instance: one that is slow holds up no other."""
LOOK_EVERY_S = 2.0
"""Work that came through another instance is seen so late."""


class ImportWorker:
    def __init__(self, stores: Stores, leases: LeaseStore, bus: Bus) -> None:
        self._stores, self._leases, self._bus = stores, leases, bus
        self._sources: SourceService | None = None
        self._to_ask, self._to_do = asyncio.Event(), asyncio.Event()
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for turn, wake in ((self._ask_waiting, self._to_ask), (self._do_waiting, self._to_do)):
            self._tasks.append(asyncio.create_task(_forever(turn, wake), name=f"imports: {turn.__name__}"))
        return self

    async def __aexit__(self, *_: object) -> None:
        await ended(*self._tasks)
        await ended(*self._asking.values())
        with suppress(PyMongoError):
            await self._leases.give_up(LEASE)
            await self._leases.give_up(TIMETABLE)

    def asks(self, sources: SourceService) -> None:
        """Whom to ask; said before the work begins, since the two know each other."""
        self._sources = sources

    def wake(self) -> None:
        """There is something to do."""
        self._to_ask.set()
        self._to_do.set()

    async def _ask_waiting(self) -> None:
        """One import of each source at a time, so that they are applied in the order in which they were begun."""
        if self._sources is not None and await self._leases.hold(TIMETABLE, LEASE_S):
            await self._sources.begin_due()
        for work in await self._stores.imports.to_fetch():
            source = work.rules.source
            if len(self._asking) == ASKED_AT_ONCE:
                return
            if source not in self._asking and await self._leases.hold(_lease(source), LEASE_S):
                self._asking[source] = asyncio.create_task(self._ask(work), name=f"imports: {source}")
                self._asking[source].add_done_callback(partial(self._asked, source))

    def _asked(self, source: str, _: asyncio.Task[None]) -> None:
        del self._asking[source]
        self.wake()

    async def _ask(self, work: Import) -> None:
        """Ask as long as the lease is ours: with another instance that has begun anew, the texts would mix."""
        lease = _lease(work.rules.source)
        holding, asking = asyncio.create_task(self._hold(lease)), asyncio.create_task(self._work(work))
        try:
            await asyncio.wait((holding, asking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(holding, asking)
            with suppress(PyMongoError):
                await self._leases.give_up(lease)

    async def _do_waiting(self) -> None:
        while await self._leases.hold(LEASE, LEASE_S):
            work = await self._stores.imports.waiting()
            if work is None:
                return
            holding = asyncio.create_task(self._hold(LEASE), name="imports: lease")
            try:
                await self._work(work)
            finally:
                await ended(holding)

    async def _hold(self, lease: str) -> None:
        """Until the lease is lost."""
        while True:
            await asyncio.sleep(LEASE_S / 4)
            if not await self._leases.hold(lease, LEASE_S):
                return

    async def _work(self, work: Import) -> None:
        """A crash ends the import, or it would keep all others waiting for ever; without MongoDB it is begun anew."""
        try:
            await (self._fetch if work.state is ImportState.FETCHING else self._do)(work)
        except PyMongoError:
            raise
        except Exception:
            log.exception("import.crashed", id=work.id)
            crash = ServiceError()
            await self._ended(work, ImportState.FAILED, self._comparison(work), crash.reason, crash.message)

    def _comparison(self, work: Import) -> Comparison | VirtualComparison:
        if work.virtual is None:
            return Comparison(self._stores, work)
        return VirtualComparison(self._stores.virtual, work, work.virtual)

    async def _do(self, work: Import) -> None:
        imports = self._stores.imports
        comparison = self._comparison(work)
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
        if self._sources is not None:
            await self._sources.forsake_if_deleted(work)
        await self._ended(work, state, comparison, reason, message)

    async def _fetch(self, work: Import) -> None:
        """Ask the source; what it says is planned or applied next."""
        found = await self._stores.imports.get(work.id)
        if found is None or found.state is not work.state:  # another instance did it before the lease was ours
            return
        try:
            if self._sources is not None:
                await self._sources.fetch(work)
        except ServiceError as error:
            await self._ended(work, ImportState.FAILED, self._comparison(work), error.reason, error.message)
            return
        state = ImportState.PLANNING if work.dry_run else ImportState.APPLYING
        await self._stores.imports.move(work.id, [work.state], state=state.value)

    async def _ended(
        self, work: Import, state: ImportState, comparison: Comparison | VirtualComparison, reason: str, message: str
    ) -> None:
        counts = comparison.told if state is not ImportState.FAILED else ImportCounts(done=comparison.counts["done"])
        await self._stores.imports.ended(work, state, counts, reason=reason, message=message)
        log.info("import.ended", id=work.id, state=state, reason=reason, done=counts.done, by=work.by)
        await self._bus.announce(import_ended, ImportEnded(id=work.id, source=work.rules.source, state=state))


_GOOD = {ImportState.PLANNING: ImportState.PLANNED, ImportState.APPLYING: ImportState.APPLIED}


async def _forever(turn: Callable[[], Awaitable[None]], wake: asyncio.Event) -> None:
    while True:
        wake.clear()
        try:
            await turn()
        except PyMongoError as error:
            log.warning("imports.failed", error=f"{type(error).__name__}: {error}"[:300])
        except Exception:
            log.exception("imports.crashed")
        with suppress(TimeoutError):
            await asyncio.wait_for(wake.wait(), LOOK_EVERY_S)


def _lease(source: str) -> str:
    return f"source:{source}"
