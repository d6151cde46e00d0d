"""Hears every host, writes batches, and says who came and who went."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Literal, Self, TypeVar

import msgspec
import structlog

from contracts import subjects
from contracts.agents import Heartbeat, Hello
from contracts.hosts import HostChanged, host_changed
from contracts.subjects import ANY
from runtime.background import ended
from runtime.bus import Bus, Message
from runtime.mongo import PyMongoError
from services.resources.hosts.document import at
from services.resources.presence.model import Batch, Beat
from services.resources.presence.store import SWEPT_AT_ONCE, PresenceStore

log = structlog.get_logger()

WRITE_EVERY_S = 1.0
ANNOUNCED_AT_ONCE = 50

M = TypeVar("M", Heartbeat, Hello)


class PresenceWatch:
    def __init__(self, store: PresenceStore, bus: Bus, *, window_s: float) -> None:
        """A host that was not heard for `window_s` seconds is offline."""
        self._store, self._bus, self._window_s = store, bus, window_s
        self._batch = Batch()
        self._writing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._listening_since = time.monotonic()
        bus.connection.on_connect(self._listens_anew)

    async def __aenter__(self) -> Self:
        await self._bus.hear(subjects.heartbeat(ANY, ANY), self._heartbeat)
        await self._bus.hear(subjects.hello(ANY, ANY), self._hello)
        self._tasks = [
            asyncio.create_task(self._repeat(self._write, WRITE_EVERY_S), name="presence: write"),
            asyncio.create_task(self._repeat(self._sweep, min(self._window_s / 4, 10)), name="presence: sweep"),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        await ended(*self._tasks)
        with contextlib.suppress(PyMongoError):
            await self._write()

    async def _heartbeat(self, message: Message) -> None:
        read = self._read(message, Heartbeat)
        if read is not None:
            self._add(message, open_tasks=len(read.open))

    async def _hello(self, message: Message) -> None:
        read = self._read(message, Hello)
        if read is not None:
            self._add(message, open_tasks=len(read.tasks), hello=read)

    def _add(self, message: Message, *, open_tasks: int, hello: Hello | None = None) -> None:
        sender = subjects.sender(message.subject)
        facts = hello.facts if hello else None
        self._batch.add(Beat(sender.idc, sender.host, int(time.time()), open_tasks, facts))

    def _read(self, message: Message, kind: type[M]) -> M | None:
        try:
            return msgspec.json.decode(message.data, type=kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            self._bus.connection.counters["presence_unreadable"] += 1
            log.warning("presence.unreadable", subject=message.subject, error=str(error)[:200])
            return None

    async def _write(self) -> None:
        async with self._writing:
            beats = self._batch.take()
            if not beats:
                return
            try:
                changes = await self._store.record(beats)
            except PyMongoError:
                for beat in beats:
                    self._batch.add(beat)
                raise
        await self._announce("online", changes.online)
        await self._announce("changed", changes.facts)

    async def _sweep(self) -> None:
        # Who was deaf for a while must not take everybody for gone.
        if not self._bus.connected or time.monotonic() - self._listening_since < self._window_s:
            return
        await self._write()  # whoever was heard while MongoDB was away is not gone
        while True:
            gone = await self._store.take_silent(at(time.time() - self._window_s))
            await self._announce("offline", gone)
            if len(gone) < SWEPT_AT_ONCE:
                return

    async def _announce(self, what: Literal["online", "offline", "changed"], hosts: dict[str, int]) -> None:
        waiting = [HostChanged(host=host, what=what, revision=revision) for host, revision in hosts.items()]
        if waiting:
            log.info(f"presence.{what}", hosts=len(waiting))
        for start in range(0, len(waiting), ANNOUNCED_AT_ONCE):
            some = waiting[start : start + ANNOUNCED_AT_ONCE]
            await asyncio.gather(*(self._bus.announce(host_changed, each) for each in some))

    async def _listens_anew(self) -> None:
        self._listening_since = time.monotonic()

    async def _repeat(self, work: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await work()
            except Exception as error:
                # MongoDB may be away for a while; what was heard waits, and the next round tries again.
                self._bus.connection.counters["presence_failed"] += 1
                log.warning("presence.failed", error=f"{type(error).__name__}: {error}"[:300])
