"""Starting the parts of the plane under honcho, and leaving no process behind.

Agents' spawners are meant to outlive their agents, and scripts to outlive those; here nothing may remain. So this
process adopts every orphan among its descendants (PR_SET_CHILD_SUBREAPER) and ends them when honcho is done.
"""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from bootstrap.plane import project
from bootstrap.state import State

HONCHO_ENDS_S = 15
"""honcho itself kills what has not ended five seconds after the first did."""
ORPHANS_END_S = 3
_ENDED = re.compile(r"\| (\S+)\.1 stopped ")
_PR_SET_CHILD_SUBREAPER = 36


class Stopped(BaseException):
    """Ctrl-C or a signal to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_status = 128 + number


@contextlib.contextmanager
def signals_stop() -> Iterator[None]:
    """INT, TERM and HUP raise Stopped once; whoever is impatient does not hinder the ending."""

    def stop(number: int, _: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def orphans_end() -> Iterator[None]:
    """Whatever is left of those who were started inside ends with it."""
    _adopt_orphans()
    try:
        yield
    finally:
        deadline = time.monotonic() + ORPHANS_END_S
        while orphans := _children():
            number = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            _reap()
            time.sleep(0.05)


@contextlib.contextmanager
def honcho(state: State, part: str, lock: int) -> Iterator["Part"]:
    """Run the processes of the part's Procfile until the end of the block.

    honcho holds the lock too: a plane whose first process was killed still counts as running.
    """
    words = ["--no-colour", "-f", state.procfile(part), "-e", state.environment, "-d", project(), "start"]
    with state.log(part).open("wb") as log:
        # A session of its own: Ctrl-C reaches this process alone, which then ends the others in order.
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "honcho", *map(str, words)],
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(lock,),
        )
    try:
        yield Part(process, state.log(part))
    finally:
        process.terminate()
        try:
            process.wait(HONCHO_ENDS_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Part:
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def ended_first(self) -> str:
        """The first of its processes that ended, or nothing while all run. honcho then ends the others.

        The part's own name if its honcho was killed: what it said last is in the log of that name.
        """
        found = _ENDED.search(self.log.read_text(errors="replace"))
        if found:
            return found[1]
        return "" if self.process.poll() is None else self.log.stem


def keep_old_logs(state: State) -> None:
    """What was said before this start stays in `.log.1`."""
    for old in state.logs.glob("*.log"):
        old.replace(old.with_suffix(".log.1"))


def _adopt_orphans() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become the parent of orphans")


def _children() -> list[int]:
    """Processes whose parent is this one."""
    own = str(os.getpid())
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name stands in brackets and may hold anything, brackets and spaces too.
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            if fields[1] == own:
                found.append(int(stat.parent.name))
    return found


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
