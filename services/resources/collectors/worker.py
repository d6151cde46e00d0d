"""Begins what is due and follows what runs, in one instance at a time."""

import asyncio
from contextlib import suppress
from typing import Self

import structlog

from contracts.errors import ServiceError
from runtime.background import ended
from runtime.mongo import PyMongoError
from services.resources.collectors.following import CollectionFollower
from services.resources.leases import LeaseStore

log = structlog.get_logger()

LEASE = "collectors"
LEASE_S = 30.0
LOOK_EVERY_S = 1.0


class CollectorWorker:
    def __init__(self, follower: CollectionFollower, leases: LeaseStore) -> None:
        self._follower, self._leases = follower, leases
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._forever(), name="collectors")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            await ended(self._task)
        with suppress(PyMongoError):
            await self._leases.give_up(LEASE)

    async def _forever(self) -> None:
        while True:
            try:
                if await self._leases.hold(LEASE, LEASE_S):
                    await self._while_held()
            except (PyMongoError, ServiceError) as error:
                log.warning("collectors.waiting", error=f"{type(error).__name__}: {error}"[:300])
            except Exception:
                log.exception("collectors.crashed")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _while_held(self) -> None:
        """As long as the lease is ours; whoever takes it over does again what was not done."""
        holding, working = asyncio.create_task(self._hold()), asyncio.create_task(self._work())
        try:
            await asyncio.wait((holding, working), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            await ended(holding, working)

    async def _hold(self) -> None:
        """Until the lease is lost."""
        while True:
            await asyncio.sleep(LEASE_S / 4)
            if not await self._leases.hold(LEASE, LEASE_S):
                return

    async def _work(self) -> None:
        await self._follower.begin_due()
        await self._follower.follow()
