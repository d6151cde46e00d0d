"""Time-outs and stops: TERM, grace, KILL, and proof that nothing is left.

One look at /proc serves all tasks that are being ended. A process once known to be a task's stays known, by pid and
start time, whatever it does to its parents.
"""

import os
import signal

from agent.spawner import cgroup, marks, procfs
from agent.spawner.belonging import FINISHED, Finished, Owned, below, sort_out
from agent.spawner.procfs import Process
from agent.spawner.protocol import STOP_FAILED
from agent.spawner.signals import hold, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.spawner.known import Known
    from agent.spawner.tasks import Task

LOOK_S = 0.02
"""The first pause between two looks at /proc; it doubles up to SLOW_LOOK_S."""
SLOW_LOOK_S = 0.5
SETTLE_S = 10.0
"""How long after KILL something may still be there (a busy disk, a hundred forks a second) before we give up."""
HOLD_ROUNDS = 20
NAMED_LEFTOVERS = 8


class Ending:
    """How far the ending of one task has come. Times are on the monotonic clock."""

    __slots__ = ("deaths", "give_up_at", "how", "kill_at", "killing", "members", "next_look", "pause", "quiet_since")

    def __init__(self, how: str, now: float, grace_s: float) -> None:
        self.how = how
        self.kill_at = now + grace_s
        self.give_up_at = self.kill_at + SETTLE_S
        self.killing = False
        self.members: set[tuple[int, int]] = set()
        """(pid, start) of everything ever seen to be the task's."""
        self.next_look = now
        self.pause = LOOK_S
        self.deaths = 0
        """Adopted processes that have died meanwhile and were, or may have been, the task's."""
        self.quiet_since = -1
        """`deaths` at the last look if that found nothing."""

    def hasten(self, now: float, grace_s: float) -> None:
        """A later stop may shorten the grace, never lengthen it."""
        if now + grace_s < self.kill_at:
            self.kill_at = now + grace_s
            self.give_up_at = self.kill_at + SETTLE_S
            self.next_look = now


class Verdict:
    """A task whose ending is over: `how` it ended and, if that failed, why."""

    __slots__ = ("how", "message", "task")

    def __init__(self, task: "Task", how: str, message: str = "") -> None:
        self.task = task
        self.how = how
        self.message = message


class _Look:
    """One snapshot of /proc, and whose the processes in it are."""

    __slots__ = ("owned", "processes")

    def __init__(self, known: "Known", since: int) -> None:
        self.processes = procfs.snapshot()
        self.owned = sort_out(self.processes, os.getpid(), lambda process: _witness(known, process))
        _add_handed_over(known, self.processes, self.owned, since)


def advance(known: "Known", now: float) -> list[Verdict]:
    """One look for all endings that are due."""
    due = [(task, task.ending) for task in known.ending if task.ending is not None and task.ending.next_look <= now]
    if not due:
        return []
    look = _Look(known, min(task.start_ticks for task, _ in due))
    verdicts = [_judge(task, ending, look, now) for task, ending in due]
    open_still = [pair for pair, verdict in zip(due, verdicts, strict=True) if verdict is None]
    _kill([pair for pair in open_still if now >= pair[1].kill_at], known, look)
    for _, ending in open_still:
        ending.next_look = min(now + ending.pause, ending.kill_at if now < ending.kill_at else ending.give_up_at)
        ending.pause = min(2 * ending.pause, SLOW_LOOK_S)
    return [verdict for verdict in verdicts if verdict is not None]


def _judge(task: "Task", ending: Ending, look: _Look, now: float) -> Verdict | None:
    """The verdict, if there is one already; at the first look, TERM to all that are found."""
    first = not ending.members
    members = _members(task, ending, look)
    suspects = [process for process in look.owned.orphans if process.start >= task.start_ticks]
    if task.reaped is not None and not members and not suspects and not cgroup.populated(task.group):
        # One look is no proof: a process that forks and exits all the time is easily missed, but leaves dead behind.
        if ending.quiet_since == ending.deaths:
            return Verdict(task, ending.how)
        ending.quiet_since = ending.deaths
        ending.pause = LOOK_S
    else:
        ending.quiet_since = -1
    if now >= ending.give_up_at:
        return Verdict(task, STOP_FAILED, _leftovers(members, suspects))
    if first and now < ending.kill_at:
        for process in members:
            send(process, signal.SIGTERM)
            send(process, signal.SIGCONT)  # a stopped process hears TERM only when it goes on
    return None


def _kill(endings: "list[tuple[Task, Ending]]", known: "Known", look: _Look) -> None:
    """Hold all of it still before killing any, and look again until nothing new is found: else a script that forks
    is always one process ahead."""
    for task, ending in endings:
        if not ending.killing:
            ending.killing = True
            ending.pause = LOOK_S
        if task.group is not None:
            cgroup.kill(task.group)
    held: dict[tuple[int, int], Process] = {}
    for _ in range(HOLD_ROUNDS):
        found = [process for task, ending in endings for process in _members(task, ending, look)]
        fresh = [process for process in found if (process.pid, process.start) not in held]
        if not fresh:
            break
        for process in fresh:
            hold(process, held)
        look = _Look(known, min(task.start_ticks for task, _ in endings))
    for process in held.values():
        send(process, signal.SIGKILL)


def _members(task: "Task", ending: Ending, look: _Look) -> list[Process]:
    """The living processes of a task: those it owns now, those it was seen to own before, and what is below them."""
    processes = look.processes
    pids = {pid for pid, owner in look.owned.owners.items() if owner is task}
    for pid, start in ending.members:
        process = processes.get(pid)
        if pid not in pids and process is not None and process.start == start:
            pids.add(pid)
            pids.update(child.pid for child in below(processes, pid))
    members = [processes[pid] for pid in pids if not processes[pid].zombie]
    members.sort(key=_age)
    ending.members.update((process.pid, process.start) for process in members)
    return members


def _age(process: Process) -> tuple[int, int]:
    """Oldest first: a shell should hear TERM before the program it waits for ends of it, or it goes on."""
    return process.start, process.pid


def _witness(known: "Known", process: Process) -> "Task | Finished | None":
    """Who an adopted process belongs to. A task's own first process is known by its pid: it is not reaped yet."""
    root = known.by_pid.get(process.pid)
    if root is not None:
        return root
    owner = known.marked(marks.worn_by(process.pid))
    if owner is None and (group := known.groups.of(process.pid)) is not None:
        owner = known.grouped(group)
    if owner is None:
        owner = known.marked(_mark_in_environment(process.pid))
    return owner or _remembered(known, process) or _by_place(known, process)


def _mark_in_environment(pid: int) -> int | None:
    text = procfs.variable(procfs.read(pid, "environ"), marks.ENVIRONMENT_NAME)
    try:
        return int(text, 16)
    except ValueError:
        return None


def _remembered(known: "Known", process: Process) -> "Task | None":
    for task in known.ending:
        if task.ending is not None and (process.pid, process.start) in task.ending.members:
            return task
    return None


def _by_place(known: "Known", process: Process) -> "Task | None":
    """By session, current folder, or the output file. Asked only of tasks that began before the process."""
    for task in known.ending:
        if process.start >= task.start_ticks and (
            process.session == task.pid
            or procfs.inside(process.pid, task.folder)
            or procfs.writes_to(process.pid, task.output)
        ):
            return task
    return None


def _add_handed_over(known: "Known", processes: dict[int, Process], owned: Owned, since: int) -> None:
    """Processes that another service runs for a task with a copy of its environment. The agents' own are spared."""
    for process in processes.values():
        if process.start < since or process.zombie or process.pid in owned.owners or process.pid in known.protected:
            continue
        owner = known.marked(_mark_in_environment(process.pid))
        if owner is not None and owner is not FINISHED:
            owned.owners[process.pid] = owner


def _leftovers(members: list[Process], suspects: list[Process]) -> str:
    def names(processes: list[Process]) -> str:
        listed = ", ".join(f"{process.pid} ({_name(process.pid)})" for process in processes[:NAMED_LEFTOVERS])
        return listed + (f" and {len(processes) - NAMED_LEFTOVERS} more" if len(processes) > NAMED_LEFTOVERS else "")

    parts = []
    if members:
        parts.append(f"Processes of the task could not be ended: {names(members)}.")
    if suspects:
        parts.append(f"Processes are left that may be the task's; nothing tells whose they are: {names(suspects)}.")
    return " ".join(parts) or "Processes of the task come and go faster than they can be caught."


def _name(pid: int) -> str:
    return procfs.read(pid, "comm").decode(errors="replace").strip()
