"""One run from its HTTP request to its last report in MongoDB, timed without disturbing what is measured.

Events tell, which jobs sends after each write, and only in the end MongoDB is asked, with majority: so the moment is
the truth, or a little late, never early.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bench.installation import Installation
from contracts import subjects
from contracts.runs import OutcomesStored, outcomes_stored
from runtime.bus import Bus, Message

LOOK_S = 1.0
"""Events may get lost; then MongoDB tells."""
RUN_S = 180
_decode = msgspec.json.Decoder(OutcomesStored).decode


@dataclass
class Stored:
    outcomes: Any
    """The collection, read with majority."""
    _told: Counter[str] = field(default_factory=Counter)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def heard(self, message: Message) -> None:
        event = _decode(message.data)
        self._told[event.run] += len(event.outcomes)
        self._news.set()

    async def all_of(self, run: str, count: int, timeout_s: float) -> None:
        """Return when `count` reports of the run are stored. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while True:
                self._news.clear()
                if self._told[run] >= count and await self._there(run) >= count:
                    return
                try:
                    await asyncio.wait_for(self._news.wait(), LOOK_S)
                except TimeoutError:
                    if await self._there(run) >= count:
                        return

    async def _there(self, run: str) -> int:
        # The index begins with the task, and a run of one step and one wave has one.
        found: int = await self.outcomes.count_documents({"task": f"{run}-0-1-0", "kind": "report"})
        return found


@contextlib.asynccontextmanager
async def hearing(made: Installation) -> AsyncIterator[Stored]:
    trust = made.nats.trust
    credentials, ca = trust.credentials("gateway"), trust.ca
    async with Bus.of_service("gateway", servers=(made.nats.hub_url,), credentials=credentials, ca=ca) as bus:
        stored = Stored(made.database("jobs")["outcomes"])
        await bus.hear(subjects.event(outcomes_stored.service, outcomes_stored.kind, subjects.ANY), stored.heard)
        await bus.connection.flush()
        yield stored


@dataclass(frozen=True)
class Timed:
    run: str
    wall_s: float
    """From the request to the last report in MongoDB."""
    accepted_s: float
    """Until the request was answered."""


async def timed_run(made: Installation, stored: Stored, count: int, script: str, head: str) -> Timed:
    """Run the script on all hosts, and see that each succeeded with this output."""
    started = time.perf_counter()
    run = await made.start_run(script)
    accepted = time.perf_counter()
    await stored.all_of(run, count, RUN_S)
    ended = time.perf_counter()
    await made.run_ended(run, RUN_S)
    good = await stored.outcomes.count_documents({"run": run, "kind": "report", "outcome": "succeeded", "head": head})
    if good != count:
        raise AssertionError(f"{count - good} of {count} hosts did not succeed with the right output")
    return Timed(run, ended - started, accepted - started)
