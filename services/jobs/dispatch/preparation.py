"""What the hosts of a wave are sent sealed, collected before the first of them is sent anything.

It is kept as it comes, and nothing is kept twice: whoever takes the run over goes on where the holder before ended.
"""

import asyncio

from contracts.errors import Conflict, Forbidden, Invalid, NotFound
from contracts.runs import Refusal
from runtime.bus import Bus
from runtime.signing import Box, CannotOpen
from services.jobs.runs import variables
from services.jobs.runs.model import RunRecord, Wave
from services.jobs.runs.values import ValueStore

PAGE = 500
"""Hosts between two looks at whether the run is to be stopped."""


class Refused(Exception):
    """Nothing of the try may start."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Preparation:
    def __init__(self, bus: Bus, values: ValueStore, box: Box, record: RunRecord, wave: Wave) -> None:
        self._bus, self._values, self._box, self._record, self._task = bus, values, box, record, wave.id
        self._left = [host.id for host in wave.hosts] if record.needs_variables else []
        self._step: asyncio.Task[bool] | None = None

    async def step(self) -> bool:
        """Collect some more; False if nothing is left to do. Raises Refused, and Unavailable if it is to be tried
        again."""
        self._step = asyncio.create_task(self._some(), name=f"run {self._record.id} prepares")
        try:
            await asyncio.wait([self._step])
            return self._step.cancelled() or self._step.result()
        finally:
            self._step.cancel()
            self._step = None

    def interrupt(self) -> None:
        """Somebody wants something else of the run: config may take long to answer, and a stop waits for nobody."""
        if self._step is not None:
            self._step.cancel()

    async def _some(self) -> bool:
        page = self._left[:PAGE]
        there = await self._values.there(self._task, page) if page else set()
        if missing := [host for host in page if host not in there]:
            await self._collect(missing)
        del self._left[:PAGE]
        return bool(self._left)

    async def _collect(self, hosts: list[str]) -> None:
        try:
            closed = await variables.closed(self._bus, self._box, self._record, hosts)
        except (Invalid, NotFound, Conflict, Forbidden) as error:
            message = f"{error.message} Nothing was started on any host."
            raise Refused(Refusal(reason=error.reason, message=message)) from error
        except CannotOpen as error:
            message = "The masked parameters were encrypted with another key of this service. Start a new run."
            raise Refused(Refusal(reason="grant.unsealable", message=message)) from error
        await self._values.add(self._task, closed)
