"""Looks at the runs that are followed when jobs tells of a change, in one instance at a time."""

import asyncio
from contextlib import suppress
from math import inf
from typing import Self

import structlog

from contracts import runs, subjects
from contracts.errors import ServiceError
from contracts.subjects import ANY
from runtime.background import ended
from runtime.bus import Bus, Message
from runtime.mongo import PyMongoError
from services.resources.inits.service import InitService
from services.resources.leases import LeaseStore

log = structlog.get_logger()

LEASE = "inits"
LEASE_S = 20.0
GATHER_S = 0.3
"""A run that goes on tells of it several times a second."""
LOOK_EVERY_S = 8.0
"""In case an event was lost, and to keep the lease."""
LOOK_BACK_S = 60.0
MOST_HEARD = 1000
"""Runs of which is remembered that they changed; beyond that all that are followed are looked at."""


class InitWorker:
    def __init__(self, inits: InitService, leases: LeaseStore, bus: Bus) -> None:
        self._inits, self._leases, self._bus = inits, leases, bus
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._heard: set[str] = set()
        self._all_at = self._back_at = -inf
        """When to look at all that are followed, and at those that ended."""

    async def __aenter__(self) -> Self:
        await self._bus.hear(subjects.event("jobs", runs.run_changed.kind, ANY), self._changed)
        self._task = asyncio.create_task(self._forever(), name="inits")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            await ended(self._task)
        with suppress(PyMongoError):
            await self._leases.give_up(LEASE)

    async def _changed(self, message: Message) -> None:
        if len(self._heard) < MOST_HEARD:
            self._heard.add(message.subject.rpartition(".")[2])
        else:
            self._all_at = self._back_at = -inf
        self._wake.set()

    async def _forever(self) -> None:
        while True:
            try:
                await self._turn(asyncio.get_running_loop().time())
            except (PyMongoError, ServiceError) as error:
                log.warning("inits.waiting", error=f"{type(error).__name__}: {error}"[:300])
                self._all_at = self._back_at = -inf
            except Exception:
                log.exception("inits.crashed")
                self._all_at = self._back_at = -inf
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_EVERY_S)
                await asyncio.sleep(GATHER_S)
            self._wake.clear()

    async def _turn(self, now: float) -> None:
        heard, self._heard = self._heard, set()
        if not await self._leases.hold(LEASE, LEASE_S):
            # The holder has heard it too; whoever takes its place looks at all.
            self._all_at = self._back_at = -inf
            return
        if heard:
            await self._inits.follow_these(heard)
        if now >= self._all_at:
            self._all_at = now + LOOK_EVERY_S
            await self._inits.follow()
        if now >= self._back_at:
            self._back_at = now + LOOK_BACK_S
            await self._inits.look_back()
