"""Renews this instance's lease and looks after runs that nobody holds."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from runtime.background import background
from runtime.mongo import PyMongoError
from services.jobs.leases.store import LeaseStore
from services.jobs.runs.store import Held, RunStore

log = structlog.get_logger()


class LeaseKeeper:
    """`look` gets every live run that is this instance's now, and is called every few seconds."""

    def __init__(
        self,
        instance: str,
        lease_s: float,
        leases: LeaseStore,
        runs: RunStore,
        look: Callable[[list[Held]], Awaitable[None]],
    ) -> None:
        self._instance, self._lease_s = instance, lease_s
        self._leases, self._runs, self._look = leases, runs, look
        self.taken_over = 0

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[None]:
        """Hold the lease and watch over runs until the block is left; then give it up, so that nobody has to wait."""
        # The lease stands before the first run can name its owner: whoever sees the run sees the lease.
        await self._leases.renew(self._instance, self._lease_s)
        try:
            async with background("lease", self._forever(self._renew), self._forever(self._watch)):
                yield
        finally:
            await self._give_up()

    async def _give_up(self) -> None:
        try:
            await self._leases.give_up(self._instance)
        except PyMongoError as error:
            log.warning("lease.left_behind", error=type(error).__name__)

    async def _forever(self, turn: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await turn()
            except PyMongoError as error:
                log.warning("lease.database_away", error=type(error).__name__)
            except Exception:
                log.exception("lease.crashed")
            await asyncio.sleep(self._lease_s / 3 * random.uniform(0.8, 1.1))  # noqa: S311  jitter, not a secret

    async def _renew(self) -> None:
        await self._leases.renew(self._instance, self._lease_s)

    async def _watch(self) -> None:
        # Runs are read before leases: an owner whose run is seen has written its lease before.
        live = await self._runs.live()
        valid = await self._leases.valid({held.owner for held in live})
        mine = [held for held in live if held.owner == self._instance]
        for held in live:
            if held.owner not in valid and held.owner != self._instance and await self._runs.take(held, self._instance):
                log.warning("run.taken_over", run=held.id, from_instance=held.owner)
                self.taken_over += 1
                mine.append(Held(held.id, self._instance, held.revision + 1))
        await self._look(mine)
