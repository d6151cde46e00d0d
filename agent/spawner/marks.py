"""A number that everything a task starts inherits, and that ordinary programs cannot lose.

Sessions end with setsid, environments with `env -i`, parents with a double fork; what a process keeps through all of
these are its resource limits. RLIMIT_RTTIME concerns real-time scheduling only, no program sets it, and the kernel
accepts any value: so each task gets its own soft limit, far beyond any meaning (36,000 years at least). It costs one
system call for a spawn (measured: below 2 µs), works without cgroups and for every account. Root can take it off
again with intent; then the other ways must find the process, or the stop is reported as failed.

The same number stands in the environment (DROVER_MARK), for processes that another service runs with a copied
environment and that therefore have other limits.
"""

import os
import resource

from agent.spawner import procfs

ENVIRONMENT_NAME = "DROVER_MARK"
_LIMIT = resource.RLIMIT_RTTIME
_FAR = 1 << 60
_SERIAL_BITS = 32


class Marks:
    """The marks of one spawner. Random, so that the tasks of two spawners of a host are never confused."""

    def __init__(self) -> None:
        self._base = _FAR | int.from_bytes(os.urandom(3), "big") << _SERIAL_BITS
        self._serial = 0
        self._hard = resource.getrlimit(_LIMIT)[1]

    def next(self) -> int:
        self._serial += 1
        return self._base | self._serial

    def wear(self, mark: int) -> None:
        """Children started from now on carry the mark. On a host that limits RTTIME for us they carry none."""
        if self._hard == resource.RLIM_INFINITY:
            resource.setrlimit(_LIMIT, (mark, self._hard))

    def ours(self, mark: int) -> bool:
        return mark >> _SERIAL_BITS == self._base >> _SERIAL_BITS


def worn_by(pid: int) -> int | None:
    """The mark in the limits of a process. A process of more rights than ours is asked through its public file."""
    try:
        return resource.prlimit(pid, _LIMIT)[0]
    except ProcessLookupError:
        return None
    except PermissionError:
        return procfs.parse_limit(procfs.read(pid, "limits"), b"Max realtime timeout")
