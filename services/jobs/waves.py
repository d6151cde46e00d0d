"""Which hosts a task is for, remembered: ingest asks it of every message. A wave never changes once it is written."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from services.jobs.runs.model import Target, Wave
from services.jobs.runs.store import RunStore

KEPT_HOSTS = 200_000
"""Some 60 MB."""

Hosts = Mapping[str, Target]


class WaveIndex:
    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._known: OrderedDict[str, Hosts] = OrderedDict()
        self._hosts = 0

    def remember(self, wave: Wave) -> None:
        if wave.id in self._known:
            return
        self._known[wave.id] = {target.id: target for target in wave.hosts}
        self._hosts += len(wave.hosts)
        while self._hosts > KEPT_HOSTS and len(self._known) > 1:
            _, forgotten = self._known.popitem(last=False)
            self._hosts -= len(forgotten)

    async def of(self, task: str) -> Hosts | None:
        return (await self.of_all([task])).get(task)

    async def of_run(self, run: str) -> dict[str, Hosts]:
        """Task → its hosts, for every wave of the run; nothing if there is no such run."""
        return await self.of_all(await self._store.tasks(run))

    async def of_all(self, tasks: Iterable[str]) -> dict[str, Hosts]:
        """Task → its hosts; a task that does not exist is left out."""
        wanted = set(tasks)
        found = {task: self._known[task] for task in wanted if task in self._known}
        for task in found:
            self._known.move_to_end(task)
        if missing := wanted - found.keys():
            for wave in await self._store.waves_by_task(sorted(missing)):
                self.remember(wave)
                found[wave.id] = self._known[wave.id]
        return found
