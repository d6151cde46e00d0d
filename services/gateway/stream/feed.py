"""Reads the EVENTS stream once for all browsers of this process, and only while there are any.

A message that arrives on the bus only says that there is something to read; what is handed on is what the stream has,
with its number. So nothing depends on having heard it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterator
from typing import NamedTuple, Protocol

import structlog

from contracts import subjects
from contracts.errors import Unavailable
from runtime.background import ended
from runtime.bus import Bus, Message, StreamMessage, Subscription
from runtime.bus.history import Bounds, History

EVENTS_OF_RUNS = subjects.event("jobs", subjects.ANY, subjects.ANY)
SOON_S, SELDOM_S = 0.02, 1.0
"""A message may arrive before the stream has it: look again soon, and then ever less often."""

log = structlog.get_logger()


class Told(NamedTuple):
    """An event about a run."""

    sequence: int
    kind: str
    """`<service>.<kind>`, as in the reference."""
    run: str
    data: bytes


class Watcher(Protocol):
    runs: Collection[str]

    def tell(self, told: Told) -> None: ...

    def lost(self) -> None: ...


class Feed:
    def __init__(self, bus: Bus, history: History) -> None:
        self._bus = bus
        self._history = history
        self._watchers: dict[str, set[Watcher]] = {}
        self._joining = asyncio.Lock()
        self._at = 0
        """Everything up to here was handed on."""
        self._knock = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._hearing: Subscription | None = None

    @contextlib.asynccontextmanager
    async def watching(self, watcher: Watcher) -> AsyncIterator[int]:
        """Tell the watcher of every event behind the number given, until the end of the block. Raises Unavailable."""
        async with self._joining:
            if self._reader is None:
                self._at = (await self._history.bounds()).last
                self._hearing = await self._bus.hear(EVENTS_OF_RUNS, self._heard)
                self._reader = asyncio.create_task(self._read(), name="feed")
            for run in watcher.runs:
                self._watchers.setdefault(run, set()).add(watcher)
            at = self._at
        try:
            yield at
        finally:
            for run in watcher.runs:
                self._watchers[run].discard(watcher)
                if not self._watchers[run]:
                    del self._watchers[run]
            async with self._joining:
                if not self._watchers:
                    await self._rest()

    async def bounds(self) -> Bounds:
        """Raises Unavailable."""
        return await self._history.bounds()

    async def past(self, runs: Collection[str], after: int, until: int) -> AsyncIterator[Told]:
        """Events about these runs behind `after`, up to `until`, in order. Raises Unavailable."""
        # One run is found by its subject. Several are picked out of all: only so do they come in order.
        subject = subjects.event("jobs", subjects.ANY, next(iter(runs))) if len(runs) == 1 else EVENTS_OF_RUNS
        more = True
        while more and after < until:
            batch = await self._history.after(after, subject)
            for told in _told(batch.messages):
                if told.run in runs and told.sequence <= until:
                    yield told
            more = batch.more
            after = batch.messages[-1].sequence if batch.messages else until

    async def _heard(self, _: Message) -> None:
        self._knock.set()

    async def _read(self) -> None:
        wait = SOON_S
        while True:
            try:
                wait = await self._hand_on(wait)
            except Unavailable as error:
                log.warning("feed.waits", error=error.message)
                wait = SELDOM_S
            await self._knocked(wait)

    async def _hand_on(self, waited: float) -> float:
        """Everything that is new; then, how long to wait. Raises Unavailable."""
        more, found = True, False
        while more:
            batch = await self._history.after(self._at, EVENTS_OF_RUNS)
            for told in _told(batch.messages):
                for watcher in tuple(self._watchers.get(told.run, ())):
                    watcher.tell(told)
            if batch.messages:
                self._at = batch.messages[-1].sequence
                found = True
            more = batch.more
        if not found and waited >= SELDOM_S:
            await self._check()
        return SOON_S if found or self._knock.is_set() else min(2 * waited, SELDOM_S)

    async def _check(self) -> None:
        """A stream that lost what it had counts from the beginning again; waiting for our number would be in vain."""
        last = (await self._history.bounds()).last
        if last < self._at:
            log.error("feed.began_anew", known=self._at, last=last)
            self._at = last
            for watcher in set().union(*self._watchers.values()):
                watcher.lost()

    async def _knocked(self, wait: float) -> None:
        self._knock.clear()
        await asyncio.sleep(SOON_S)  # what comes in a burst is read at once
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._knock.wait()

    async def _rest(self) -> None:
        if self._reader is not None:
            await ended(self._reader)
            self._reader = None
        if self._hearing is not None:
            await self._bus.connection.unsubscribe(self._hearing)
            self._hearing = None


def _told(messages: list[StreamMessage]) -> Iterator[Told]:
    for message in messages:
        _, service, kind, run = message.subject.split(".")
        yield Told(message.sequence, f"{service}.{kind}", run, message.data)
