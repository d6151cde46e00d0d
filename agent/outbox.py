"""Gets reports and chunks into the stream, and keeps them until the jobs service says that they are in MongoDB.

Nothing is held in memory for a second try: what did not get through is read again from the task's folder. What the
stream took but nobody stored for a while is sent again, and everything at each new connection; duplicates do no
harm.
"""

import asyncio
import random
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

import structlog

from agent.journal import Span
from agent.kit import Kit
from agent.output import marker, replay
from agent.removal import remove
from agent.reports import Reports
from agent.tasks import Task
from contracts.agents import REPORT_N, StoredItem
from runtime.background import ended
from runtime.bus import Disconnected, streams

AT_ONCE = 4
"""Tasks of one agent whose results are on their way at the same time."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0

log = structlog.get_logger()


class Outbox:
    def __init__(self, kit: Kit, reports: Reports, tasks: dict[str, Task]) -> None:
        self._kit = kit
        self._reports = reports
        self._tasks = tasks
        """All that are not stored; this is where they leave."""
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._going: dict[str, asyncio.Task[None]] = {}
        self._connected = asyncio.Event()

    def send(self, task: Task) -> None:
        """See to it that all of a task that has ended gets into the stream."""
        if task.id not in self._going:
            delivery = asyncio.create_task(self._deliver(task), name=f"deliver {task.id}")
            self._going[task.id] = delivery
            delivery.add_done_callback(lambda _: self._going.pop(task.id, None))

    async def send_all_again(self) -> None:
        """After a new connection: what was on its way may be lost."""
        self._connected.set()
        self._connected.clear()
        for task in list(self._tasks.values()):
            task.doubt()
            if task.done:
                self.send(task)

    def send_forgotten(self, now: float) -> None:
        """What the stream took long ago and nobody stored. `now` is on the loop's clock."""
        for task in list(self._tasks.values()):
            if task.done and task.id not in self._going and now - task.sent_at > self._kit.limits.unstored_s:
                self._kit.counters["sent_again"] += 1
                task.doubt()
                self.send(task)

    async def prune(self) -> None:
        """Tombstones that are old enough go. On a full disk they stay: nothing depends on it."""
        try:
            await self._kit.journal.prune(time.time())
        except sqlite3.Error as error:
            log.warning("journal.not_pruned", host=self._kit.host, error=str(error))

    async def close(self) -> None:
        await ended(*self._going.values())

    async def stored(self, items: Iterable[StoredItem]) -> None:
        """Forget what is safe now; free a task when nothing of it is missing any more. Raises sqlite3.Error, upon
        which nothing is forgotten."""
        spoken_of: dict[str, set[int]] = {}
        for item in items:
            if item.task in self._tasks:
                spoken_of.setdefault(item.task, set()).add(item.n)
        tasks = [self._tasks[id_] for id_ in spoken_of]
        chunks = [StoredItem(task.id, n) for task in tasks for n in spoken_of[task.id] & task.row.unstored.keys()]
        ended = [task for task in tasks if _is_all(task, spoken_of[task.id])]
        if chunks or ended:
            await self._note(chunks, ended)
        for task in tasks:
            task.report_stored |= task.done and REPORT_N in spoken_of[task.id]
            for n in spoken_of[task.id]:
                task.row.unstored.pop(n, None)
        for task in ended:
            await self._free(task)

    async def _note(self, chunks: list[StoredItem], ended: list[Task]) -> None:
        folders, names, now = [task.folder for task in ended], [task.id for task in ended], time.time()
        try:
            await self._kit.journal.stored(chunks, names, now, lambda: _remove(folders))
        except sqlite3.OperationalError:
            # The disk may be full of just these outputs. They are in MongoDB, so they may go first.
            await self._kit.house.worker.run(lambda: _remove(folders))
            await self._kit.journal.stored(chunks, names, now)

    async def _free(self, task: Task) -> None:
        self._tasks.pop(task.id, None)
        if (delivery := self._going.get(task.id)) is not None:
            delivery.cancel()
        if task.spawned:
            await self._kit.house.spawning.forget(self._kit.host, task.id)

    async def _deliver(self, task: Task) -> None:
        wait = FIRST_WAIT_S
        while not await self._attempt(task):
            self._kit.counters["delivery_failed"] += 1
            pause = wait * random.uniform(0.5, 1.5)  # noqa: S311  jitter, not a secret
            try:
                async with asyncio.timeout(pause):
                    await self._connected.wait()
            except TimeoutError:
                wait = min(wait * 2, LONGEST_WAIT_S)

    async def _attempt(self, task: Task) -> bool:
        """Send what the stream does not have: chunks first, so that whoever sees the report can read everything."""
        async with self._slots:
            try:
                if task.report is None:
                    task.report = await self._reports.make(task)
                if task.row.unstored.keys() - task.sent:
                    await self._send_chunks(task)
                if REPORT_N not in task.sent and not task.report_stored:
                    await self._reports.publish(task, REPORT_N, task.report)
            except (Disconnected, TimeoutError, streams.StreamRefused, OSError, sqlite3.Error) as error:
                log.warning("report.waits", task=task.id, host=self._kit.host, error=str(error)[:200])
                return False
        task.sent_at = asyncio.get_running_loop().time()
        return True

    async def _send_chunks(self, task: Task) -> None:
        wanted = {n: span for n, span in task.row.unstored.items() if n not in task.sent}
        run, limit = self._kit.house.worker.run, self._kit.limits.output_limit
        async with task.lock:
            output = self._reports.output(task)
            chunks = replay(output, wanted, marker(output.keep, limit, task.row.dropped))

            def step() -> tuple[int, Span, str] | None:
                return next(chunks, None)

            try:
                while (chunk := await run(step)) is not None:
                    await self._reports.publish_chunk(task, *chunk)
                await self._forget_cut(task, wanted.keys() - task.sent)
            finally:
                await run(output.close)

    async def _forget_cut(self, task: Task, gone: set[int]) -> None:
        """Chunks whose text the disk budget has cost."""
        if gone:
            await self._kit.journal.stored([StoredItem(task.id, n) for n in gone], (), time.time())
            for n in gone:
                del task.row.unstored[n]


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        remove(folder)


def _is_all(task: Task, stored: set[int]) -> bool:
    """Whether nothing of the task is missing once these are stored."""
    return task.done and (task.report_stored or REPORT_N in stored) and not task.row.unstored.keys() - stored
