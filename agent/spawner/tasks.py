"""What the spawner knows about each task, and the one record of how it ended."""

import errno
import os

from agent.spawner import procfs
from agent.spawner.protocol import ENDED, RECORD_NAME, RUNNING, STOPPING, Order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from resource import struct_rusage

    from agent.spawner.ending import Ending


class Task:
    """One task from its order until the agent forgets it. `pid` is 0 if it could not be started."""

    __slots__ = (
        "boot_id",
        "deadline",
        "ending",
        "folder",
        "group",
        "host",
        "kill_grace_s",
        "mark",
        "output",
        "pid",
        "reaped",
        "record",
        "start_ticks",
        "started",
        "task",
    )

    def __init__(self, order: Order, mark: int, started: float, boot_id: str) -> None:
        self.host = order.host
        self.task = order.task
        self.folder = order.folder
        self.kill_grace_s = order.kill_grace_s
        self.mark = mark
        self.boot_id = boot_id
        self.started = started
        """Seconds since 1970."""
        self.start_ticks = procfs.now_ticks()
        self.pid = 0
        self.output = (0, 0)
        """Device and inode."""
        self.group: str | None = None
        """The folder of its cgroup."""
        self.deadline = 0.0
        """On the monotonic clock."""
        self.reaped: tuple[int, struct_rusage] | None = None
        self.ending: Ending | None = None
        self.record: dict[str, object] | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.host, self.task

    @property
    def state(self) -> str:
        if self.record is not None:
            return ENDED
        return STOPPING if self.ending is not None else RUNNING

    def told(self) -> dict[str, object]:
        """How `list` and a refusal describe it."""
        return {
            "host": self.host,
            "task": self.task,
            "pid": self.pid,
            "started": self.started,
            "state": self.state,
            "record": self.record,
        }

    def end(self, how: str, ended: float, *, reason: str = "", message: str = "") -> dict[str, object]:
        """Make the record. Called once: whoever comes second finds the task ended and does nothing."""
        if self.record is not None:
            raise RuntimeError(f"{self.host} {self.task} ended twice")
        record: dict[str, object] = {
            "v": 1,
            "host": self.host,
            "task": self.task,
            "pid": self.pid,
            "ended_by": how,
            "exit_code": None,
            "signal": None,
            "reason": reason,
            "message": message,
            "started": self.started,
            "ended": ended,
            "cpu_s": None,
            "boot_id": self.boot_id,
        }
        if self.reaped is not None:
            code = os.waitstatus_to_exitcode(self.reaped[0])
            record["exit_code" if code >= 0 else "signal"] = abs(code)
            record["cpu_s"] = round(self.reaped[1].ru_utime + self.reaped[1].ru_stime, 6)
        self.record = record
        return record


def write_record(folder: str, text: bytes, *, sync: bool) -> None:
    """Whole or not at all, also after a crash of the spawner; with `sync` also after a power cut. Raises OSError."""
    target = f"{folder}/{RECORD_NAME}"
    unfinished = target + ".new"
    file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.write(file, text) != len(text):
            raise OSError(errno.ENOSPC, "the disk is full")
        if sync:
            os.fsync(file)
    finally:
        os.close(file)
    os.rename(unfinished, target)
    if sync:
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
