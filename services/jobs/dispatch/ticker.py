"""One clock for all hosts of all runs: a heap and one task, not a timer per host."""

import asyncio
import contextlib
import heapq
from itertools import count
from math import inf
from typing import Protocol

from services.jobs.dispatch.part import Part


class Woken(Protocol):
    def look_at(self, part: Part) -> None: ...


class Ticker:
    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Woken, Part]] = []
        self._numbers = count()
        self._earlier = asyncio.Event()

    @staticmethod
    def now() -> float:
        """The clock of all parts: steady, and comparable only within this process."""
        return asyncio.get_running_loop().time()

    def at(self, when: float, woken: Woken, part: Part) -> None:
        """Have `woken` look at the part then. A part that will be looked at before that decides anew then."""
        if when >= part.wake_at or when == inf:
            return
        part.wake_at = when
        first = not self._heap or when < self._heap[0][0]
        heapq.heappush(self._heap, (when, next(self._numbers), woken, part))
        if first:
            self._earlier.set()

    async def run(self) -> None:
        """Without end."""
        while True:
            wait = self._heap[0][0] - self.now() if self._heap else None
            if wait is None or wait > 0:
                self._earlier.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._earlier.wait(), wait)
                continue
            when, number, woken, part = heapq.heappop(self._heap)
            if part.wake_at == when:
                part.wake_at = inf
                woken.look_at(part)
            if number % 500 == 0:
                await asyncio.sleep(0)
