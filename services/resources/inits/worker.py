"""Looks at the runs that are followed, in one instance at a time."""

import asyncio
from contextlib import suppress
from typing import Self

import structlog

from contracts.errors import ServiceError
from runtime.background import ended
from runtime.mongo import PyMongoError
from services.resources.inits.service import InitService
from services.resources.leases import LeaseStore

log = structlog.get_logger()

LEASE = "inits"
LEASE_S = 30.0
LOOK_EVERY_S = 2.0


class InitWorker:
    def __init__(self, inits: InitService, leases: LeaseStore) -> None:
        self._inits, self._leases = inits, leases
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._forever(), name="inits")
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
                    await self._inits.follow()
            except (PyMongoError, ServiceError) as error:
                log.warning("inits.waiting", error=f"{type(error).__name__}: {error}"[:300])
            except Exception:
                log.exception("inits.crashed")
            await asyncio.sleep(LOOK_EVERY_S)
