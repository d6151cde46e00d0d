"""Put on the PYTHONPATH of a process under test: tells of each callback that keeps its event loop busy for too long.

CPU time of the thread, not the clock: a machine that has no time for us is not our fault.
"""

import sys
import time
from asyncio import events
from typing import Any

LONGEST_S = 0.1
_run = events.Handle._run


def _watched(handle: Any) -> None:
    before = time.thread_time()
    try:
        _run(handle)
    finally:
        used = time.thread_time() - before
        if used > LONGEST_S:
            sys.stderr.write(f"SLOW CALLBACK {used:.3f} s: {handle!r}\n")


events.Handle._run = _watched  # type: ignore[method-assign]
