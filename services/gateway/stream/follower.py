"""One host's output for one browser: every byte once and in order, live where it can be, to its end.

Live pieces are handed on as they come. Whatever they leave out, at the beginning or because something was lost, is
read from the store, which has it a few seconds later at most. A host that is tried again begins a new text.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
import structlog

from contracts import runs, subjects
from contracts.agents import OutputChunk
from contracts.errors import NotFound, ServiceError
from contracts.people import Principal
from runtime.bus import Bus, Message
from services.gateway.stream import sse
from services.gateway.stream.joining import Piece, Pieces

READ_BYTES = 128 * 1024
"""JSON may write one byte as six, and one message on the bus holds 900 KiB."""
GAP_S, QUIET_S = 1.0, 5.0
"""How long to wait for news before looking into the store: with something missing, and without."""

log = structlog.get_logger()


class Wanted(NamedTuple):
    run: str
    host: str
    offset: int


class Follower:
    def __init__(self, bus: Bus, principal: Principal, wanted: Wanted, put: Callable[[bytes], Awaitable[None]]) -> None:
        self._bus = bus
        self._principal = principal
        self.run, self.host, self._at = wanted
        self._put = put
        self._task = ""
        """Whose output was told so far."""
        self._live = Pieces()
        self._live_task = ""
        self.ended = False
        self._look = True
        """Whether the store may have news."""
        self._news = asyncio.Event()

    def look(self) -> None:
        """The store has news of this host, or may have."""
        self._look = True
        self._news.set()

    async def follow(self) -> None:
        """Until it is cancelled; there is always another try."""
        hearing = await self._bus.hear(subjects.live_output(subjects.ANY, self.host, subjects.ANY), self._heard)
        try:
            while await self._pass_on():
                await self._wait()
        finally:
            await self._bus.connection.unsubscribe(hearing)

    async def _heard(self, message: Message) -> None:
        task = message.subject.rsplit(".", 1)[-1]
        if not task.startswith(f"{self.run}-"):
            return
        if task != self._live_task:
            self._live_task = task
            self._live.clear()
            self._look = True  # the store says whether this is the newest task
        with contextlib.suppress(msgspec.DecodeError, UnicodeError):
            chunk = msgspec.json.decode(message.data, type=OutputChunk)
            self._live.add(Piece(chunk.offset, chunk.text.encode()))
        self._news.set()

    async def _wait(self) -> None:
        """For news; without any, as long as it is worth to wait before looking anyway."""
        patience = None if self.ended else GAP_S if self._live.waiting else QUIET_S
        try:
            async with asyncio.timeout(patience):
                await self._news.wait()
        except TimeoutError:
            self._look = True
        self._news.clear()

    async def _pass_on(self) -> bool:
        """Whatever there is to say now. False if this host has no part in the run."""
        try:
            if self._look:
                self._look = False
                await self._read()
            await self._join()
        except NotFound as error:
            await self._say("output.end", reason=error.reason)
            return False
        except ServiceError as error:
            log.warning("output.waits", run=self.run, host=self.host, reason=error.reason)
        return True

    async def _join(self) -> None:
        while self._live_task == self._task and (text := self._live.next(self._at)):
            await self._say("output", task=self._task, offset=self._at, text=text.decode(errors="replace"))
            self._at += len(text)

    async def _read(self) -> None:
        while True:
            question = runs.ReadOutput(run=self.run, host=self.host, offset=self._at, limit=READ_BYTES)
            stored = await self._bus.call(runs.read_output, question, principal=self._principal)
            if self._task and stored.task != self._task:
                self._task, self._at, self.ended = stored.task, 0, False
                continue
            self._task = stored.task
            if stored.text:
                self.ended = False
                await self._say("output", task=self._task, offset=stored.offset, text=stored.text)
                self._at = stored.next_offset
            if self._at >= stored.stored_bytes or not stored.text:
                break
        if stored.complete and self._at >= stored.stored_bytes and not self.ended:
            self.ended = True
            self._live.clear()
            await self._say("output.end", task=self._task, offset=self._at, dropped=stored.dropped)

    async def _say(self, kind: str, **fields: object) -> None:
        await self._put(sse.own(kind, run=self.run, host=self.host, **fields))
