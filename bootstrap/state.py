"""The one folder in which a one-machine plane keeps everything, and the lock that lets only one use it."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bootstrap.files import keep

SETTING = "DROVER_STATE"


class AlreadyRunning(SystemExit):
    """Another plane uses this folder; the message is the line that says so."""


@dataclass(frozen=True)
class State:
    """What is where below the folder."""

    root: Path

    @property
    def trust(self) -> Path:
        return self.root / "trust"

    @property
    def nats(self) -> Path:
        return self.root / "nats"

    @property
    def mongo(self) -> Path:
        return self.root / "mongo"

    @property
    def depot(self) -> Path:
        return self.root / "depot"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def log(self, process: str) -> Path:
        """What the process said since the plane was started; a part's log tells which of its processes ended."""
        return self.logs / f"{process}.log"

    def procfile(self, part: str) -> Path:
        """`servers` or `drover`: one honcho each, so that what others need starts first and ends last."""
        return self.root / f"Procfile.{part}"

    @property
    def environment(self) -> Path:
        return self.root / "plane.env"

    @property
    def password_file(self) -> Path:
        return self.root / "first-admin-password"

    @property
    def token_file(self) -> Path:
        return self.root / "first-admin-token"

    @property
    def agents(self) -> Path:
        return self.root / "agents"

    def agent(self, name: str) -> Path:
        return self.agents / name

    def agent_facts(self, name: str) -> Path:
        """What this agent says instead of the machine's own facts, so that several on one machine differ."""
        return self.root / "facts" / name

    def join_file(self, name: str) -> Path:
        """Where the agent waits for its join token."""
        return self.root / "join" / name

    def password(self) -> str:
        """The first admin's, made at the first start."""
        return keep(self.password_file, lambda: secrets.token_urlsafe(12).encode()).decode()

    def token(self) -> str:
        """The first admin's API token, with which a start speaks; empty until the first one has made it."""
        try:
            return self.token_file.read_text()
        except FileNotFoundError:
            return ""

    def make(self) -> None:
        """Other accounts may pass to the agents, where their scripts are, and to nothing else."""
        for folder in (self.root, self.agents):
            _make(folder, 0o711)
        for folder in (self.trust, self.nats, self.mongo, self.logs, self.root / "facts", self.root / "join"):
            _make(folder, 0o700)

    @contextlib.contextmanager
    def held(self) -> Iterator[int]:
        """Hold the lock; gives its descriptor, to be passed to whoever must hold it too.

        The kernel lets go when the last process that has it ends, however it ends. Raises AlreadyRunning.
        """
        self.make()
        file = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                first = os.read(file, 32).decode(errors="replace").strip()
                raise AlreadyRunning(_already_running(self.root, first, _holders(file))) from None
            os.truncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
            yield file
        finally:
            os.close(file)


def _already_running(root: Path, first: str, holders: list[str]) -> str:
    """The line that says so. `first` began it all; others hold the lock still when it was killed."""
    runs = f"Drover already runs with the state in {root}"
    another = f"or name another folder in {SETTING}"
    if holders and first not in holders:
        pids = " ".join(holders)
        return (
            f"{runs}: its first process is gone, and what that started still runs: end it with kill {pids}, {another}"
        )
    return f"{runs} (process {first or 'unknown'}): stop that one with Ctrl-C, {another}"


def _holders(lock: int) -> list[str]:
    """Processes, others than this one, that have the lock's file open; those of other accounts stay unseen."""
    wanted, found = os.fstat(lock), []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name != str(os.getpid()):
            with contextlib.suppress(OSError):
                if any(_is(file, wanted) for file in (process / "fd").iterdir()):
                    found.append(process.name)
    return sorted(found, key=int)


def _is(file: Path, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(file.stat(), wanted)
    except OSError:
        return False


def _make(folder: Path, mode: int) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(mode)
