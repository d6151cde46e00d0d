"""Counts closed runs anew when reports came in after their end. They do not reopen; only their counts change."""

import asyncio
import contextlib

import structlog

from contracts import runs
from runtime.bus import Bus
from runtime.mongo import PyMongoError
from services.jobs.results.store import OutcomeStore
from services.jobs.runs import model
from services.jobs.runs.model import changed
from services.jobs.runs.store import RunStore
from services.jobs.waves import WaveIndex

log = structlog.get_logger()

LOOK_EVERY_S = 10.0
"""In case the instance that saw the report died before it could count."""


class Settler:
    def __init__(self, bus: Bus, store: RunStore, outcomes: OutcomeStore, waves: WaveIndex) -> None:
        self._bus, self._store, self._outcomes, self._waves = bus, store, outcomes, waves
        self._wake = asyncio.Event()

    def soon(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Without end."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_EVERY_S)
            self._wake.clear()
            try:
                for run in await self._store.to_recount():
                    await self._recount(run)
            except PyMongoError as error:
                log.warning("settling.database_away", error=type(error).__name__)
            except Exception:
                log.exception("settling.crashed")

    async def _recount(self, run: str) -> None:
        # The run is read first: a report that comes after this raises `recount`, and then the next round counts it.
        record = await self._store.get(run)
        hosts = await self._waves.of_run(run)
        counts = model.counts_of(model.newest_tasks(hosts), await self._outcomes.facts(sorted(hosts)))
        counted = await self._store.recounted(record, counts)
        if counted is not None and counts != record.counts:
            await self._bus.announce(runs.run_changed, changed(counted, counts))
