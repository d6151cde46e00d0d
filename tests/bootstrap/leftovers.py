"""Which processes belong to a plane: their command line, environment or current folder names its state."""

import os
from pathlib import Path


def belonging(state: Path) -> set[int]:
    """Process ids, without this process's own."""
    mark, found = str(state).encode(), set()
    for process in Path("/proc").glob("[0-9]*"):
        pid = int(process.name)
        if pid == os.getpid():
            continue
        try:
            traces = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
            if any(mark in trace for trace in traces) or str(state) in str((process / "cwd").readlink()):
                found.add(pid)
        except OSError:
            continue
    return found
