"""Which processes of a snapshot are a task's. Pure: what must be read is asked of the witness.

Everything a task starts stays below the spawner, its subreaper. A process below a task's process is the task's. One
whose parent has died hangs directly below the spawner, and is known by what it inherited: limits, cgroup, environment,
session; or by the folder it sits in or the output it writes to. What nothing speaks for may be anybody's.
"""

from agent.spawner.procfs import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.spawner.tasks import Task

    Witness = Callable[[Process], "Task | Finished | None"]


class Finished:
    """The owner of a process that an earlier task left behind."""


FINISHED = Finished()


class Owned:
    """For each living process below the spawner: its task, FINISHED, or None if nobody knows."""

    __slots__ = ("orphans", "owners")

    def __init__(self) -> None:
        self.owners: dict[int, Task | Finished] = {}
        self.orphans: list[Process] = []
        """Living processes below the spawner that nothing speaks for."""


def sort_out(processes: dict[int, Process], spawner: int, witness: "Witness") -> Owned:
    """Walk down from the spawner, so that a parent's owner is known before its children are asked for."""
    owned = Owned()
    for process in below(processes, spawner):
        owner = owned.owners.get(process.parent) or witness(process)
        if owner is not None:
            owned.owners[process.pid] = owner
        elif not process.zombie:
            owned.orphans.append(process)
    return owned


def below(processes: dict[int, Process], top: int) -> "Iterator[Process]":
    """The descendants of a process, parents first."""
    children: dict[int, list[Process]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process)
    waiting = children.get(top, [])
    while waiting:
        yield from waiting
        waiting = [child for process in waiting for child in children.get(process.pid, ())]
