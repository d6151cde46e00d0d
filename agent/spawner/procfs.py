"""What /proc says about processes. Parsing is pure; the functions that read are at the end.

A process is known by its pid and its start time together: a pid alone may by now be somebody else's.
"""

import os
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
WRITES = 0o3
"""The bits of a descriptor's flags that say whether it can be written; 0 in them means read only."""


class Process:
    """One line of /proc. `start` is in clock ticks since boot."""

    __slots__ = ("parent", "pid", "session", "start", "zombie")

    def __init__(self, pid: int, parent: int, session: int, start: int, zombie: bool) -> None:
        self.pid = pid
        self.parent = parent
        self.session = session
        self.start = start
        self.zombie = zombie


def parse_stat(text: bytes) -> Process:
    """The second field is the program's own name for itself and may hold spaces, brackets and newlines. A process
    whose first thread has ended shows the state Z while its other threads go on: that one is no zombie."""
    pid = int(text[: text.index(b" ")])
    fields = text[text.rindex(b")") + 2 :].split()
    zombie = fields[0] in (b"Z", b"X") and int(fields[17]) <= 1
    return Process(pid, int(fields[1]), int(fields[3]), int(fields[19]), zombie)


def variable(environ: bytes, name: str) -> str:
    """A variable's value; empty if it is not there."""
    _, found, rest = (b"\0" + environ).partition(f"\0{name}=".encode())
    return rest.partition(b"\0")[0].decode(errors="replace") if found else ""


def parse_limit(limits: bytes, title: bytes) -> int | None:
    """The soft value of one row of /proc/PID/limits; None if it is unlimited or missing."""
    for line in limits.splitlines():
        if line.startswith(title):
            soft = line[len(title) :].split()[0]
            return int(soft) if soft.isdigit() else None
    return None


def parse_cgroup_v2(text: str) -> str | None:
    """The path in the unified hierarchy, from /proc/PID/cgroup."""
    for line in text.splitlines():
        if line.startswith("0::"):
            return line[3:]
    return None


def parse_cgroup2_mount(mountinfo: str) -> str | None:
    """Where the unified hierarchy is mounted, from /proc/self/mountinfo. Spaces in paths stand as \\040."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            return before.split()[4].replace("\\040", " ")
    return None


def now_ticks() -> int:
    """The present on the clock of Process.start, rounded down: what starts from now on has this value or a later."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * TICKS_PER_SECOND)


def read(pid: int, name: str) -> bytes:
    """Empty if the process is gone or its secrets are not ours to see."""
    try:
        with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""


def boot_id() -> str:
    """Another value means that the host has restarted, and no process of before is left."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def process(pid: int) -> Process | None:
    text = read(pid, "stat")
    return parse_stat(text) if text else None


def snapshot() -> dict[int, Process]:
    """All processes that we can see. Not atomic: what forks meanwhile may be missed, so whoever must be sure looks
    again until nothing is found."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            one = process(int(name))
            if one is not None:
                found[one.pid] = one
    return found


def children(pid: int) -> list[Process]:
    """Quicker than a snapshot, and complete if the process cannot fork meanwhile. Empty on kernels without this."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    pids = [int(child) for thread in threads for child in read(pid, f"task/{thread}/children").split()]
    return [child for child in map(process, pids) if child is not None]


def inside(pid: int, folder: str) -> bool:
    """Whether the process's current directory is the folder or below it."""
    try:
        where = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return False
    return where == folder or where.startswith(folder + "/")


def writes_to(pid: int, file: tuple[int, int]) -> bool:
    """Whether the process holds the file (device, inode) open for writing. Readers, such as a `tail`, do not count."""
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    for number in numbers:
        try:
            seen = os.stat(f"/proc/{pid}/fd/{number}")
        except OSError:
            continue
        if (seen.st_dev, seen.st_ino) == file and _can_write(pid, number):
            return True
    return False


def _can_write(pid: int, number: str) -> bool:
    for line in read(pid, f"fdinfo/{number}").splitlines():
        if line.startswith(b"flags:"):
            return int(line.split()[1], 8) & WRITES != 0
    return False
