"""The agent's folder: where things are in it, and how they are written so that a power cut leaves old or new.

identity.json   who this host is, its X25519 seed, the keys it obeys, the relays
agent.creds     JWT and key for the bus
ca.pem          the private CA that the relays' certificates come from
journal.db      what was accepted, and what is not stored yet
tasks/<task>/   script, output and exit record of each task that is not stored
lib/            the script library, for every account to read
"""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SECRET = 0o600
PASSABLE = 0o711
"""Other accounts may go through to their own script, and list nothing."""
READABLE, LISTABLE = 0o644, 0o755
"""For everybody: a file, and a folder of such files. Python must list a folder to import from it."""

LIBRARY = Path(__file__).resolve().parent / "lib"
"""Where our own copy is: perhaps below a folder that no other account may enter."""


class FolderInUse(Exception):
    """Another process holds this folder; the message is the line that says so."""


@dataclass(frozen=True)
class Folder:
    root: Path

    @property
    def identity(self) -> Path:
        return self.root / "identity.json"

    @property
    def credentials(self) -> Path:
        return self.root / "agent.creds"

    @property
    def ca(self) -> Path:
        return self.root / "ca.pem"

    @property
    def journal(self) -> Path:
        return self.root / "journal.db"

    @property
    def tasks(self) -> Path:
        return self.root / "tasks"

    @property
    def library(self) -> Path:
        return self.root / "lib"

    def task(self, task: str) -> Path:
        """`task` has passed contracts.tokens.token."""
        return self.tasks / task

    def make(self) -> None:
        for folder in (self.root, self.tasks):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(PASSABLE)

    def lay_library(self) -> None:
        """Put the script library where scripts of every account can read it; what is the same stays. Raises OSError."""
        self.library.mkdir(exist_ok=True)
        self.library.chmod(LISTABLE)
        for source in LIBRARY.iterdir():
            if source.is_file():
                _copy(source.read_bytes(), self.library / source.name)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else works in this folder meanwhile; raises FolderInUse. The kernel lets go when the process dies."""
        file = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, SECRET)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise FolderInUse(f"Another agent works in {self.root}; each agent needs a folder of its own.") from None
        try:
            yield
        finally:
            os.close(file)


def _copy(content: bytes, path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.read_bytes() == content and stat.S_IMODE(path.stat().st_mode) == READABLE:
            return
    write_whole(path, content, READABLE)


def write_whole(path: Path, content: bytes, mode: int = SECRET) -> None:
    """Replace a file in one step that also survives a power cut. Raises OSError."""
    unfinished = path.with_name(path.name + ".new")
    file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        os.fchmod(file, mode)
        written = memoryview(content)
        while written:
            written = written[os.write(file, written) :]
        os.fsync(file)
    finally:
        os.close(file)
    unfinished.rename(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
