"""Says that this host is there: hello at each connection, a heartbeat every half minute."""

import asyncio
import random

import msgspec

from agent.facts import VERSION
from agent.kit import Kit
from agent.outbox import Outbox
from agent.tasks import Task
from contracts import subjects
from contracts.agents import Heartbeat, Hello, OpenTask
from contracts.hosts import HostFacts
from runtime.background import ended
from runtime.bus import Disconnected

MOST_LISTED = 5000
"""Tasks in a hello; with their ids that is below half of what a message carries."""
PRUNE_EVERY_S = 6 * 3600.0


class Presence:
    def __init__(self, kit: Kit, facts: HostFacts, outbox: Outbox, tasks: dict[str, Task]) -> None:
        self._kit = kit
        self._facts = facts
        self._outbox = outbox
        self._tasks = tasks
        self._beating: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._kit.connection.on_connect(self.hello)
        self._beating = asyncio.create_task(self._beat(), name=f"heartbeat {self._kit.host}")

    async def close(self) -> None:
        if self._beating is not None:
            await ended(self._beating)

    async def hello(self) -> None:
        """Whoever hears it sends at once what this host lacks; and we send what may not have arrived."""
        kit = self._kit
        known = [OpenTask(task=task.id, state=task.state) for task in self._tasks.values() if task.state is not None]
        message = Hello(boot_id=kit.boot_id, version=VERSION, facts=self._facts, tasks=tuple(known[-MOST_LISTED:]))
        await kit.connection.publish(subjects.hello(kit.idc, kit.host), msgspec.json.encode(message))
        await self._outbox.send_all_again()

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        pruned_at = loop.time()
        while True:
            pause = self._kit.limits.heartbeat_s * random.uniform(0.9, 1.1)  # noqa: S311  spreads load
            await asyncio.sleep(pause)
            self._outbox.send_forgotten(loop.time())
            if loop.time() - pruned_at > PRUNE_EVERY_S:
                pruned_at = loop.time()
                await self._outbox.prune()
            await self._heartbeat()

    async def _heartbeat(self) -> None:
        kit = self._kit
        open_tasks = tuple(task.id for task in self._tasks.values() if task.state is not None and not task.done)
        message = Heartbeat(boot_id=kit.boot_id, version=VERSION, open=open_tasks[:MOST_LISTED])
        try:
            await kit.connection.publish(subjects.heartbeat(kit.idc, kit.host), msgspec.json.encode(message))
        except Disconnected:
            kit.counters["heartbeat_missed"] += 1
