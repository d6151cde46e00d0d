"""CPU that processes used, from /proc, in seconds: their own and that of the children they have waited for."""

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

QUIET_S = 0.5
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Used:
    own: float
    children: float
    """Of children that ended and were waited for."""

    def __sub__(self, before: "Used") -> "Used":
        return Used(self.own - before.own, self.children - before.children)

    def __add__(self, other: "Used") -> "Used":
        return Used(self.own + other.own, self.children + other.children)


NOTHING = Used(0.0, 0.0)


def used(pid: int) -> Used:
    # The name stands in brackets and may hold anything, brackets and spaces too.
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    user, system, children_user, children_system = (int(field) for field in fields[11:15])
    return Used((user + system) * _TICK_S, (children_user + children_system) * _TICK_S)


def exactly(pid: int) -> float:
    """What the living threads of a process have used, in nanoseconds of the scheduler rather than ticks of 10 ms."""
    spent = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        spent += int((thread / "schedstat").read_text().split()[0])
    return spent / 1e9


async def quiet(pid: int, longest_s: float, *, for_s: float = QUIET_S) -> None:
    """Wait until a process has nothing to do: less than 2 % of a core for `for_s` seconds. Raises TimeoutError."""
    async with asyncio.timeout(longest_s):
        before = exactly(pid)
        while True:
            await asyncio.sleep(for_s)
            now = exactly(pid)
            if now - before < 0.02 * for_s:
                return
            before = now


Parts = Mapping[str, Iterable[int]]
"""Name of a part → its processes."""


def snapshot(parts: Parts) -> dict[str, Used]:
    return {part: sum((used(pid) for pid in pids), NOTHING) for part, pids in parts.items()}


def since(before: Mapping[str, Used], after: Mapping[str, Used]) -> dict[str, Used]:
    return {part: after[part] - before.get(part, NOTHING) for part in after}


def resident_bytes(pid: int) -> tuple[int, int]:
    """Resident memory of a process, and the part of it that no other process shares."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        fields[name] = int(rest.split()[0]) * 1024
    return fields["Rss"], fields["Private_Clean"] + fields["Private_Dirty"]


def below(folder: Path, word: str) -> list[int]:
    """Processes whose command line mentions `word` and names something below `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.encode() in each for each in words) and any(
            each.startswith(str(folder).encode()) for each in words
        ):
            found.append(int(process.name))
    return found
