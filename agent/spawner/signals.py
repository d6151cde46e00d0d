"""Signals to exactly the process that was meant.

They go through a pidfd that is opened before the start time is compared, so that a number that was given to somebody
else meanwhile is never hit.
"""

import os
import signal

from agent.spawner import procfs
from agent.spawner.procfs import Process


def send(process: Process, number: int) -> None:
    """Nothing happens if the process is gone or of an account that we may not signal: the next look tells which."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        now = procfs.process(process.pid)
        if now is not None and now.start == process.start:
            signal.pidfd_send_signal(handle, number)
    except OSError:
        return
    finally:
        os.close(handle)


def hold(process: Process, held: dict[tuple[int, int], Process]) -> None:
    """Stop a process and, since it cannot fork any more, then everything below it. Adds to `held`."""
    waiting = [process]
    while waiting:
        one = waiting.pop()
        if (one.pid, one.start) not in held:
            held[one.pid, one.start] = one
            send(one, signal.SIGSTOP)
            waiting.extend(procfs.children(one.pid))
