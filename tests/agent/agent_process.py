"""`python -m agent run` as a process of its own, that can be killed and started again."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import Server

PROJECT = Path(__file__).parents[2]


@contextmanager
def agent_process(root: Path, *, words: tuple[str, ...] = (), **limits: str) -> Iterator[Server]:
    """Not started yet. Without further words `root` must be enrolled already."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    given = {"DROVER_AGENT_HEARTBEAT_S": "1", "DROVER_AGENT_SPAWNER_IDLE_S": "2"}
    given |= {f"DROVER_AGENT_{name.upper()}": value for name, value in limits.items()}
    command = [sys.executable, "-m", "agent", "run", "--root", str(root), *words]
    server = Server("agent", command, root.parent / "agent.log", PROJECT, kept | given)
    try:
        yield server
    finally:
        if not server.ended():
            os.kill(server.pid, 9)
            while not server.ended():  # one that nobody waits for is a warning when it is collected, in another test
                time.sleep(0.01)


def spawner_of(root: Path) -> int:
    """The pid of the spawner that keeps its socket below this root, from its command line."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"{root}/spawner/socket".encode() in words:
                return int(process.name)
    raise AssertionError("there is no spawner")
