"""A task's life on this host: spawned, followed, ended, reported. One coroutine for each script that runs."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import structlog

from agent.following import Follower
from agent.kit import Kit
from agent.outbox import Outbox
from agent.reports import Reports
from agent.spawning import KnownTask, SpawnerGone, SpawnOrder, SpawnRefused
from agent.tasks import Task, without_start
from contracts.agents import TaskState
from contracts.reasons import REASONS
from contracts.states import Outcome
from runtime.background import ended

log = structlog.get_logger()

SPAWN_S = 20.0

ANSWER_S = 1.0
"""A task that has not ended by then is acknowledged, before the command would come again. Of one that has, its report
says that it was accepted: a message less for each."""


class Runner:
    def __init__(self, kit: Kit, reports: Reports, outbox: Outbox, tasks: dict[str, Task]) -> None:
        self._kit = kit
        self._tasks = tasks
        self._reports = reports
        self._outbox = outbox
        self._slots = asyncio.Semaphore(kit.limits.tasks)
        self._lives: set[asyncio.Task[None]] = set()

    def start(self, task: Task, order: SpawnOrder, answer: Callable[[], None]) -> None:
        """The journal has the task. `answer` tells the dispatcher where it stands; called if it takes long."""
        self._begin(self._live(task, order, answer))

    def resume(self, task: Task, known: KnownTask | None) -> None:
        """After a restart of the agent. `known` is what the spawner says of the task, if it knows it."""
        task.spawned = True
        task.record = None if known is None else known.record
        if task.row.report is not None or known is None or known.record is not None:
            self._ended(task)
        else:
            task.decide(TaskState.RUNNING)
            self._begin(self._until_end(task))

    async def stop(self, task: Task) -> None:
        """End a task that was accepted; what has not begun never will."""
        task.cancel_asked = True
        if task.spawned:
            try:
                await self._kit.house.spawning.stop(self._kit.host, task.id, task.row.kill_grace_s)
            except (SpawnerGone, SpawnRefused) as error:
                log.warning("task.stop_unheard", task=task.id, error=str(error))

    async def close(self) -> None:
        """Scripts run on; the next agent process finds them again. What is just being started is waited for: only the
        spawner could say whether it began."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SPAWN_S):
                # Asked once, at the end: not worth an event in each task.
                while any(task.spawned and task.state is TaskState.ACCEPTED for task in self._tasks.values()):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        await ended(*self._lives)

    def _begin(self, life: Coroutine[Any, Any, None]) -> None:
        running = asyncio.create_task(life)
        self._lives.add(running)
        running.add_done_callback(self._over)

    def _over(self, life: "asyncio.Task[None]") -> None:
        self._lives.discard(life)
        if not life.cancelled() and (error := life.exception()) is not None:
            self._kit.counters["life_crashed"] += 1
            log.error("task.life_crashed", host=self._kit.host, exc_info=error)

    async def _live(self, task: Task, order: SpawnOrder, answer: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        late = loop.call_later(ANSWER_S, answer)
        try:
            async with self._slots:
                if task.cancel_asked:
                    await self._cancelled(task)
                elif await self._spawn(task, order):
                    if loop.time() > late.when():  # it was told of as accepted, and now it runs
                        answer()
                    await self._until_end(task)
        finally:
            late.cancel()

    async def _spawn(self, task: Task, order: SpawnOrder) -> bool:
        """Begin the script; False if that was its end already."""
        task.spawned = True
        try:
            await self._kit.house.spawning.spawn(order)
        except SpawnRefused as refused:
            await self._not_spawned(task, refused)
            return False
        except SpawnerGone:
            await self._report(task)
            return False
        task.decide(TaskState.RUNNING)
        if task.cancel_asked:  # the spawner may not have known the task yet when it was told to stop it
            await self.stop(task)
        return True

    async def _until_end(self, task: Task) -> None:
        house = self._kit.house
        follower = self._reports.follow(task, asyncio.get_running_loop().time())
        house.watch.add(follower)
        try:
            task.record = await house.spawning.wait_exit(self._kit.host, task.id)
        except SpawnerGone:
            log.error("spawner.gone", host=self._kit.host, task=task.id)
        finally:
            house.watch.remove(follower)
        await self._report(task, follower)

    async def _report(self, task: Task, follower: Follower | None = None) -> None:
        try:
            task.report = await self._reports.make(task, follower)
        except (OSError, sqlite3.Error) as error:  # a full disk: the outbox tries again until it works
            log.error("report.not_made", host=self._kit.host, task=task.id, error=str(error))
        self._ended(task)

    async def _not_spawned(self, task: Task, refused: SpawnRefused) -> None:
        if refused.reason in {"already_known", "already_ran"}:  # by an agent process before this one
            await self._report(task)
            return
        reason = refused.reason if refused.reason in REASONS else "task.spawn_failed"
        await self._never_began(task, Outcome.REFUSED, reason, refused.message)

    async def _cancelled(self, task: Task) -> None:
        await self._never_began(task, Outcome.CANCELLED, "task.cancelled", "Stopped before the script began.")

    async def _never_began(self, task: Task, outcome: Outcome, reason: str, message: str) -> None:
        report = self.unbegun(task.id, outcome, reason, message)
        task.row.cancelled = outcome is Outcome.CANCELLED
        await self._kit.journal.keep_report(task.id, report, cancelled=task.row.cancelled)
        task.row.report = task.report = report
        self._ended(task)

    def unbegun(self, task: str, outcome: Outcome, reason: str, message: str) -> bytes:
        report = without_start(task, outcome, reason, message, now=time.time(), boot_id=self._kit.boot_id)
        return msgspec.json.encode(report)

    def _ended(self, task: Task) -> None:
        task.decide(TaskState.CANCELLED if task.row.cancelled else TaskState.DONE)
        self._outbox.send(task)
