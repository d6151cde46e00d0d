"""The second life of the spawner's process: already detached and a subreaper, it listens and serves.

Run by `agent.spawner.subreaper` with a fresh interpreter, so that nothing of the first life stays in memory.
"""

import fcntl
import os
import socket

from agent.spawner.cgroup import open_groups
from agent.spawner.loop import Spawner, log

CONNECTIONS_WAITING = 64


def main(words: list[str]) -> None:
    """The command line that `subreaper` makes."""
    path, ready, cgroup, linger_s, sync = words
    serve(path, int(ready), cgroup, float(linger_s), sync == "sync")


def serve(path: str, ready: int, cgroup: str, linger_s: float, sync: bool) -> None:
    """Tell `ready` (a pipe) when agents can connect to the socket at `path`, by us or by a spawner already there."""
    os.umask(0o022)
    folder, name = os.path.split(path)
    os.chdir(folder)  # a socket's path has at most 107 bytes
    listener = _listen(name)
    os.chdir("/")
    if listener is not None:
        groups = open_groups(cgroup)
        log(f"spawner {os.getpid()} listens, cgroups {groups.root or 'off'}")
        spawner = Spawner(listener, groups, linger_s=linger_s, sync=sync)
    os.write(ready, b"1")
    os.close(ready)
    if listener is not None:
        spawner.run()
        log(f"spawner {os.getpid()} leaves: no agent and no task")
        _unlisten(path, listener)


def _listen(path: str) -> socket.socket | None:
    """None if a living spawner listens there. Two that start at once wait for each other at the lock."""
    with _locked(path):
        if _answers(path):
            return None
        if os.path.exists(path):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        os.chmod(path, 0o600)
        listener.listen(CONNECTIONS_WAITING)
        return listener


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        try:
            trial.connect(path)
        except OSError:
            return False
    return True


def _unlisten(path: str, listener: socket.socket) -> None:
    """Under the lock, so that the socket of a spawner that starts right now is not the one removed."""
    with _locked(path):
        os.unlink(path)
        listener.close()


def _locked(path: str) -> "_Lock":
    return _Lock(path + ".lock")


class _Lock:
    """A file lock that dies with its holder."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
