"""The tasks that this spawner knows, found by key, pid, mark or cgroup.

A task stays known by its key until the agent forgets it; by pid until its first process is reaped; by mark and cgroup
until it has ended, after which what still carries them was left behind on purpose.
"""

from agent.spawner.belonging import FINISHED, Finished
from agent.spawner.cgroup import Groups
from agent.spawner.marks import Marks
from agent.spawner.protocol import Refused
from agent.spawner.tasks import Task


class Known:
    __slots__ = ("_by_group", "_by_mark", "by_key", "by_pid", "ending", "groups", "live", "marks", "protected")

    def __init__(self, groups: Groups, marks: Marks) -> None:
        self.groups = groups
        self.marks = marks
        self.by_key: dict[tuple[str, str], Task] = {}
        self.by_pid: dict[int, Task] = {}
        self._by_mark: dict[int, Task] = {}
        self._by_group: dict[str, Task] = {}
        self.ending: list[Task] = []
        self.live = 0
        """Tasks that have not ended."""
        self.protected: set[int] = set()
        """Processes that are never a task's: the agents that are connected."""

    def add(self, task: Task) -> None:
        self.by_key[task.key] = task
        if task.record is None:
            self.by_pid[task.pid] = task
            self._by_mark[task.mark] = task
            if task.group is not None:
                self._by_group[task.group] = task
            self.live += 1

    def find(self, key: tuple[str, str]) -> Task:
        task = self.by_key.get(key)
        if task is None:
            raise Refused("unknown", f"This spawner knows no task {key[1]} of {key[0]}.")
        return task

    def ended(self, task: Task) -> None:
        """After the task's record is made."""
        del self._by_mark[task.mark]
        self.live -= 1
        if task.ending is not None:
            self.ending.remove(task)
        self.by_pid.pop(task.pid, None)  # still there only after a failed stop
        if task.group is not None:
            del self._by_group[task.group]
            self.groups.release(task.group)

    def died(self, mark: int | None) -> None:
        """An adopted process with this mark is dead."""
        owner = self.marked(mark)
        for task in self.ending:
            if task.ending is not None and (owner is None or owner is task):
                task.ending.deaths += 1

    def marked(self, mark: int | None) -> "Task | Finished | None":
        if mark is None or not self.marks.ours(mark):
            return None
        return self._by_mark.get(mark, FINISHED)

    def grouped(self, group: str) -> "Task | Finished":
        return self._by_group.get(group, FINISHED)
