"""How the spawner becomes what it is: detached from the agent, and the child subreaper of everything below it.

Only prctl makes a subreaper, and only ctypes calls prctl from Python. It costs 0.8 MB, so a first life does it and
executes a fresh interpreter: a process stays a subreaper through exec.
"""

import os
import sys

PR_SET_CHILD_SUBREAPER = 36


def detach(path: str, *, cgroup: str, linger_s: float, sync: bool) -> bool:
    """Start the spawner in the background. True once agents can connect to `path`."""
    told, ready = os.pipe()
    if os.fork() == 0:
        os.close(told)
        _become_spawner(path, ready, cgroup, linger_s, sync)
    os.close(ready)
    return os.read(told, 1) == b"1"


def _become_spawner(path: str, ready: int, cgroup: str, linger_s: float, sync: bool) -> None:
    os.setsid()
    _become_subreaper()
    os.set_inheritable(ready, True)
    program = "import sys; from agent.spawner.serve import main; main(sys.argv[1:])"
    words = [path, str(ready), cgroup, str(linger_s), "sync" if sync else "fast"]
    os.execv(sys.executable, [sys.executable, "-S", "-c", program, *words])  # noqa: S606 (no shell is the point)


def _become_subreaper() -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl cannot make this process a child subreaper")
