"""A spawner of its own for each test, with the folders that its tasks need."""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from agent.spawning import ExitRecord, Spawning, SpawnOrder

DEADLINE_S = 90
HOST = "h-1"
OTHER_ACCOUNT = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
"""Somebody without rights. Only root can become somebody else; others can at least name themselves."""


class Rig:
    """One folder that other accounts can enter, one spawner in it."""

    def __init__(self, root: Path, cgroup: str, linger_s: float) -> None:
        self.root = root
        self.spawner_folder = root / "spawner"
        self._settings: dict[str, Any] = {"cgroup": cgroup, "linger_s": linger_s}
        self.spawning = self.client()
        self.needle = f"9{uuid.uuid4().int % 10**9:09d}"
        """Seconds to sleep, so long and odd that a process of this test is known by its arguments."""

    def client(self) -> Spawning:
        return Spawning(self.spawner_folder, **self._settings)

    def order(self, task: str, script: str, *args: str, host: str = HOST, **fields: Any) -> SpawnOrder:
        folder = self.root / f"{host}.{task}"
        folder.mkdir(mode=0o711, exist_ok=True)
        argv = ("sh", "-c", script.replace("NEEDLE", self.needle), "sh", *args)
        return SpawnOrder(**{"host": host, "task": task, "argv": argv, "folder": folder, "timeout_s": 60.0} | fields)

    async def run(self, script: str, *args: str, task: str = "t", **fields: Any) -> tuple[ExitRecord, str]:
        """Record and output of a script that ends by itself."""
        order = self.order(task, script, *args, **fields)
        await self.spawning.spawn(order)
        record = await self.ended(task)
        return record, (order.folder / order.output).read_text()

    async def ended(self, task: str, host: str = HOST) -> ExitRecord:
        return await asyncio.wait_for(self.spawning.wait_exit(host, task), DEADLINE_S)

    def survivors(self) -> list[int]:
        """Living processes of this test's scripts, found by what they sleep, whatever else they have shed."""
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and self._is_ours(process):
                found.append(int(process.name))
        return found

    def spawner_pid(self) -> int:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.spawner_folder / "socket"))
            return int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], "little")

    async def clean(self) -> None:
        await self.spawning.close()
        for pid in self.survivors():
            os.kill(pid, signal.SIGKILL)
        if (self.spawner_folder / "socket").exists():
            with suppress(ConnectionRefusedError):  # the test has killed it
                os.kill(self.spawner_pid(), signal.SIGKILL)
        shutil.rmtree(self.root)

    def _is_ours(self, process: Path) -> bool:
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            state = (process / "stat").read_bytes().rsplit(b")", 1)[1].split()[0]
        except OSError:
            return False
        return self.needle.encode() in words and state != b"Z"


@asynccontextmanager
async def rig(cgroup: str = "auto", linger_s: float = 300.0) -> AsyncIterator[Rig]:
    one = Rig(_folder_for_all(), cgroup, linger_s)
    try:
        yield one
    finally:
        await one.clean()


def _folder_for_all() -> Path:
    root = Path(tempfile.mkdtemp(prefix="drover-spawner-"))
    root.chmod(0o711)
    return root


async def until(fact: Callable[[], object], what: str) -> None:
    """Wait for something that must come true."""
    deadline = time.monotonic() + DEADLINE_S
    while not fact():
        assert time.monotonic() < deadline, f"still not: {what}"
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()[0] != b"Z"
    except OSError:
        return False
