"""Follows the output of running scripts: live to whoever watches, in chunks to the stream, never beyond its limit.

One clock looks at all running scripts of a process, and only while there are any; a script that ends before the first
look costs nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from agent.journal import Span
from agent.outcome_files import LeftBehind, read_left_behind
from agent.output import CHUNK_BYTES, Chunker, Output, Piece, marker
from agent.spawner.protocol import WORK_NAME
from agent.tasks import Task
from agent.worker import Worker
from runtime.background import ended

LOOK_S = 0.25
STEPS_AT_ONCE = 8
"""Pieces of a script's output that are read in one go, so that others get their turn."""
CHUNK_EARLY_BYTES = 256 * 1024
"""As much unsent output makes a chunk before its time."""
FIRST_PAUSE_S, PAUSE_GROWS, LONGEST_PAUSE_S = 0.75, 2.0, 10.0
"""The first chunk comes early: whoever begins to watch a second after the start finds the beginning in MongoDB."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Senders:
    """What a follower does with text; both leave it to others when there is no connection."""

    live: Callable[[Task, Piece], Awaitable[None]]
    chunk: Callable[[Task, int, Span, str], Awaitable[None]]
    cut: Callable[[Task], Awaitable[None]]
    """The task's `keep` or `dropped` has changed."""


@dataclass(frozen=True)
class Batch:
    pieces: list[Piece]
    size: int
    """Bytes in the file."""
    dropped: int
    """Bytes cut off it just now."""
    at_end: bool


class Follower:
    """Reads one task's output from the beginning and sends what was not sent before."""

    def __init__(self, task: Task, output: Output, senders: Senders, worker: Worker, limit: int, now: float) -> None:
        self.task = task
        self.output = output
        self._senders = senders
        self._worker = worker
        self._limit = limit
        self._chunker = Chunker(task.row.chunked_to)
        self._known = task.row.chunked_to
        """Text before this was sent by an earlier agent process."""
        self._pause = FIRST_PAUSE_S
        self.chunk_at = now + FIRST_PAUSE_S
        self.busy = False
        self.was_live = False
        self.left = LeftBehind()
        """What else the script left, known when it was finished."""
        self.gone = False
        """The script's output was removed before it was read, known then too."""

    def news(self, size: int, now: float) -> bool:
        """Whether it is worth a turn."""
        return size > self.output.raw or (self._chunker.waiting > 0 and now >= self.chunk_at)

    async def advance(self) -> None:
        """One turn while the script runs."""
        self.busy = True
        try:
            async with self.task.lock:
                batch = await self._read(last=False)
                for piece in batch.pieces:
                    await self._live(piece)
                await self._send_due(asyncio.get_running_loop().time())
        finally:
            self.busy = False

    async def finish(self) -> None:
        """Read to the end of what is there and send what the report will not carry. Holds no lock."""
        while not (batch := await self._read(last=True)).at_end:
            await self._pass_on(batch, complete=False)
        await self._pass_on(batch, complete=True)

    async def _pass_on(self, batch: Batch, *, complete: bool) -> None:
        for piece in batch.pieces:
            if self.was_live:
                await self._live(piece)
        if self.task.row.chunks == 0 or complete:
            # The head travels in the report; what was chunked before is sent already.
            self._chunker.skip_to(min(len(self.output.head.encode()), self._chunker.at + self._chunker.waiting))
        while self._chunker.waiting >= (1 if complete else CHUNK_BYTES):
            await self._send_chunk()

    async def _read(self, *, last: bool) -> Batch:
        task, output = self.task, self.output
        if task.row.keep is not None:
            # The disk budget wants less; what was read is told already and stays.
            task.row.keep = output.keep = min(output.keep, max(task.row.keep, output.raw))

        def read() -> Batch:
            dropped = output.trim()
            pieces = []
            for _ in range(STEPS_AT_ONCE):
                piece = output.step()
                if piece is None:
                    break
                pieces.append(piece)
            at_end = len(pieces) < STEPS_AT_ONCE
            if last and at_end:
                pieces.append(output.end(marker(output.keep, self._limit, task.row.dropped + dropped)))
                self.left = read_left_behind(task.folder / WORK_NAME)
                self.gone = output.gone
                output.close()
            return Batch(pieces, min(output.size(), output.keep), dropped, at_end)

        batch = await self._worker.run(read)
        task.size = batch.size
        if batch.dropped:
            task.row.dropped += batch.dropped
            await self._senders.cut(task)
        for piece in batch.pieces:
            self._chunker.add(piece)
        return batch

    async def _live(self, piece: Piece) -> None:
        if piece.text and piece.end > self._known:
            self.was_live = True
            await self._senders.live(self.task, piece)

    async def _send_due(self, now: float) -> None:
        due = now >= self.chunk_at
        while self._chunker.waiting >= CHUNK_EARLY_BYTES or (due and self._chunker.waiting > 0):
            await self._send_chunk()
            if due:
                self._pause = min(self._pause * PAUSE_GROWS, LONGEST_PAUSE_S)
                self.chunk_at = now + self._pause
                due = self._chunker.waiting > CHUNK_EARLY_BYTES

    async def _send_chunk(self) -> None:
        span, text = self._chunker.next()
        await self._senders.chunk(self.task, self.task.next_chunk(), span, text)
        self._chunker.done(text)


class Watch:
    """The clock."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._followers: dict[Follower, float] = {}
        """Each with the time of its first look."""
        self._timer: asyncio.TimerHandle | None = None
        self._turns: set[asyncio.Task[None]] = set()

    def add(self, follower: Follower) -> None:
        loop = asyncio.get_running_loop()
        self._followers[follower] = loop.time() + LOOK_S
        if self._timer is None:
            self._timer = loop.call_later(LOOK_S, self._tick)

    def remove(self, follower: Follower) -> None:
        self._followers.pop(follower, None)

    async def close(self) -> None:
        self._followers.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await ended(*self._turns)

    def _tick(self) -> None:
        self._timer = None
        if not self._followers:
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LOOK_S, self._tick)
        now = loop.time()
        if due := [each for each, first in self._followers.items() if first <= now and not each.busy]:
            self._begin(self._look(due, now))

    async def _look(self, due: list[Follower], now: float) -> None:
        sizes = await self._worker.run(lambda: [each.output.size() for each in due])
        for follower, size in zip(due, sizes, strict=True):
            if follower in self._followers and not follower.busy and follower.news(size, now):
                self._begin(follower.advance())

    def _begin(self, turn: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(turn)
        self._turns.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, turn: "asyncio.Task[None]") -> None:
        self._turns.discard(turn)
        if not turn.cancelled() and (error := turn.exception()) is not None:
            log.error("output.turn_failed", error=type(error).__name__, text=str(error)[:300])
