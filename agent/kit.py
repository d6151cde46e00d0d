"""What the parts of one agent work with, and what the agents of one process share."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from agent.folder import Folder
from agent.following import Watch
from agent.identity import Identity
from agent.journal import Journal
from agent.settings import Limits
from agent.spawning import Spawning
from agent.worker import Worker
from runtime.bus import Connection


class Household:
    """One for all agents of a process: the spawner of their scripts, the thread for the disk, the clock that looks
    after running scripts."""

    def __init__(self, spawner_folder: Path, limits: Limits) -> None:
        self.spawning = Spawning(spawner_folder, cgroup=limits.cgroup, linger_s=limits.spawner_idle_s)
        self.worker = Worker()
        self.watch = Watch(self.worker)

    def start(self) -> None:
        self.worker.start()

    async def close(self) -> None:
        """The spawner and the scripts live on."""
        await self.watch.close()
        await self.spawning.close()
        await self.worker.close()


@dataclass(eq=False)
class Kit:
    """One agent's own."""

    identity: Identity
    folder: Folder
    limits: Limits
    boot_id: str
    connection: Connection
    journal: Journal
    house: Household
    counters: Counter[str] = field(default_factory=Counter)

    @property
    def host(self) -> str:
        return self.identity.host

    @property
    def idc(self) -> str:
        return self.identity.idc
