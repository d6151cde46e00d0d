"""The disk budget: how much output of all tasks may wait in the agent's folder until it is stored."""

import os
from dataclasses import dataclass

import structlog

from agent.grants import Refused
from agent.kit import Kit
from agent.tasks import OUTPUT_NAME, Task
from contracts.agents import HEAD_BYTES

ROOM_PERCENT = 10

log = structlog.get_logger()


@dataclass(frozen=True)
class Held:
    task: str
    at: float
    size: int
    least: int
    """Bytes that stay whatever happens: what the report shows."""


def cuts(held: list[Held], limit: int) -> dict[str, int]:
    """Task → bytes that may stay, so that all together keep `limit`: the oldest output goes first. Pure."""
    over = sum(each.size for each in held) - limit
    found: dict[str, int] = {}
    for each in sorted(held, key=lambda each: each.at):
        if over <= 0:
            break
        spare = each.size - each.least
        if spare > 0:
            found[each.task] = max(each.least, each.size - over)
            over -= each.size - found[each.task]
    return found


class Spool:
    def __init__(self, kit: Kit, tasks: dict[str, Task]) -> None:
        self._kit = kit
        self._tasks = tasks

    @property
    def used(self) -> int:
        return sum(task.size for task in self._tasks.values())

    def admit(self) -> None:
        """Raises Refused while the budget is used up."""
        limit = self._kit.limits.spool_limit
        if self.used >= limit:
            told = f"Results that are not stored yet fill the agent's budget of {limit} bytes."
            raise Refused("task.spool_full", told, final=True)

    async def keep_limit(self) -> None:
        """Cut the oldest outputs if there is too much, of running scripts only when nothing else is left. Room is made
        for more than the moment, so that the next task finds some."""
        wanted = self._kit.limits.spool_limit * (100 - ROOM_PERCENT) // 100
        for ended in (True, False):
            if self.used <= self._kit.limits.spool_limit:
                return
            held = [
                Held(task.id, task.row.at, task.size, min(HEAD_BYTES, task.size))
                for task in self._tasks.values()
                if task.size and (task.done or not ended)
            ]
            for id_, keep in cuts(held, wanted).items():
                task = self._tasks.get(id_)
                if task is not None and task.done:
                    await self._cut(task, keep)
                elif task is not None:
                    task.row.keep = keep  # whoever follows it does the rest at the next look

    async def _cut(self, task: Task, keep: int) -> None:
        path = task.folder / OUTPUT_NAME

        def truncate() -> None:
            os.truncate(path, keep)

        async with task.lock:
            lost = task.size - keep
            if lost <= 0:
                return
            await self._kit.house.worker.run(truncate)
            task.size, task.row.keep, task.row.dropped = keep, keep, task.row.dropped + lost
            task.report = None  # made anew if it must be sent again
            self._kit.counters["spool_cut_bytes"] += lost
            log.warning("spool.cut", host=self._kit.host, task=task.id, bytes=lost)
            await self._kit.journal.cut(task.id, keep, task.row.dropped)
