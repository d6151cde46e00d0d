"""The event loop: one thread, one epoll, and the only place where the parts meet.

Every turn first reaps, then ends what is due, then hears requests: so a task that has ended by itself is never said to
have been stopped, and each gets exactly one record.
"""

import heapq
import os
import select
import signal
import socket
import sys
import time

from agent.spawner import procfs
from agent.spawner.cgroup import Groups
from agent.spawner.connections import Connection, Lost
from agent.spawner.ending import Ending, advance
from agent.spawner.known import Known
from agent.spawner.launch import Launcher
from agent.spawner.marks import Marks, worn_by
from agent.spawner.protocol import (
    EXIT,
    SPAWN_FAILED,
    STOPPED,
    TIMED_OUT,
    Order,
    Refused,
    decode,
    encode,
    encode_exited,
    key_of,
    seconds,
)
from agent.spawner.tasks import Task, write_record

RETRY_RECORD_S = 5.0
"""After a record could not be written (disk full). Until then the agent hears of the end through the socket only."""
FIRST_AGENT_S = 30.0
"""Whoever started us is about to connect."""
SPARE_DEADLINES = 256
REQUESTS_PER_TURN = 16


class Spawner:
    """`linger_s`: how long to stay without an agent and without a running task."""

    def __init__(self, listener: socket.socket, groups: Groups, *, linger_s: float, sync: bool) -> None:
        self._known = Known(groups, Marks())
        self._listener = listener
        self._linger_s = linger_s
        self._sync = sync
        self._boot_id = procfs.boot_id()
        self._connections: dict[int, Connection] = {}
        self._deadlines: list[tuple[float, int, Task]] = []
        self._unwritten: list[tuple[Task, dict[str, object]]] = []
        self._retry_at = 0.0
        self._busy_at = time.monotonic() + FIRST_AGENT_S
        self._asked_to_leave = False
        self._epoll = select.epoll()
        self._epoll.register(listener.fileno(), select.EPOLLIN)
        self._awake = self._hear_signals()
        self._launcher = Launcher(groups, self._known.marks)
        self._requests: list[tuple[Connection, bytes]] = []

    def run(self) -> None:
        while not self._may_leave():
            events = self._epoll.poll(self._pause())
            self._reap()
            self._end_what_is_due(time.monotonic())
            for file, _ in events:
                self._attend(file)
            self._answer_some()
            self._flush()

    def _hear_signals(self) -> int:
        """Signals only wake the loop up. Whoever ends a host's processes ends the tasks too, and we record that."""
        awake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._leave)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._epoll.register(awake, select.EPOLLIN)
        return awake

    def _leave(self, *_: object) -> None:
        self._asked_to_leave = True

    def _may_leave(self) -> bool:
        if self._known.live or self._unwritten:
            self._busy_at = time.monotonic()
            return False
        if self._asked_to_leave:
            return True
        if self._connections:
            return False  # `_part` notes when the last one goes
        return time.monotonic() - self._busy_at >= self._linger_s

    def _pause(self) -> float:
        """Seconds until something is due; -1 for as long as nothing happens."""
        if self._requests:
            return 0.0
        now = time.monotonic()
        times = [task.ending.next_look for task in self._known.ending if task.ending is not None]
        if self._deadlines:
            times.append(self._deadlines[0][0])
        if self._unwritten:
            times.append(self._retry_at)
        if not self._connections and not self._known.live:
            times.append(self._busy_at + self._linger_s)
        return max(0.0, min(times) - now) if times else -1.0

    def _attend(self, file: int) -> None:
        if file == self._awake:
            os.read(file, 4096)
        elif file == self._listener.fileno():
            self._welcome()
        elif file in self._connections:
            connection = self._connections[file]
            try:
                lines = connection.lines()
            except Lost as why:
                self._part(connection, str(why))
                return
            self._requests.extend((connection, line) for line in lines)

    def _welcome(self) -> None:
        connection = Connection(self._listener.accept()[0])
        self._connections[connection.fileno()] = connection
        self._known.protected.add(connection.pid)
        self._epoll.register(connection.fileno(), select.EPOLLIN)

    def _part(self, connection: Connection, why: str) -> None:
        log(f"agent process {connection.pid} left: {why}")
        self._epoll.unregister(connection.fileno())
        del self._connections[connection.fileno()]
        self._busy_at = time.monotonic()
        self._known.protected = {other.pid for other in self._connections.values()}
        connection.close()

    def _answer_some(self) -> None:
        """A few per turn: in a burst of a thousand orders, the first ends must not wait for the last start."""
        for connection, line in self._requests[:REQUESTS_PER_TURN]:
            self._answer(connection, line)
        del self._requests[:REQUESTS_PER_TURN]

    def _answer(self, connection: Connection, line: bytes) -> None:
        answer: dict[str, object] = {"id": None}
        try:
            request = decode(line)
            answer["id"] = request.get("id")
            answer |= self._do(request)
        except Refused as refused:
            answer |= {"say": "refused", "reason": refused.reason, "message": refused.message}
        except Exception:  # a fault of ours must not cost the tasks that run their supervisor
            import traceback

            log(traceback.format_exc())
            answer |= {"say": "refused", "reason": "internal", "message": "The spawner failed; its log says how."}
        connection.say(answer)

    def _do(self, request: dict[str, object]) -> dict[str, object]:
        match request.get("do"):
            case "spawn":
                return self._spawn(Order(request))
            case "stop":
                self._end(self._known.find(key_of(request)), STOPPED, seconds(request, "grace_s"))
                return {"say": "done"}
            case "list":
                return {"say": "tasks", "tasks": [task.told() for task in self._known.by_key.values()]}
            case "forget":
                self._forget(self._known.find(key_of(request)))
                return {"say": "done"}
        raise Refused("malformed", "A request does spawn, stop, list or forget.")

    def _spawn(self, order: Order) -> dict[str, object]:
        if (order.host, order.task) in self._known.by_key:
            raise Refused("already_known", f"Task {order.task} of {order.host} was started before.")
        task = Task(order, self._known.marks.next(), time.time(), self._boot_id)
        try:
            self._launcher.start(order, task)
        except Refused as refused:
            if refused.reason != "already_ran":  # that folder has, or will have, the record of who ran there
                record = task.end(SPAWN_FAILED, time.time(), reason=refused.reason, message=refused.message)
                self._known.add(task)
                self._write(task, record)
            raise
        self._known.add(task)
        task.deadline = time.monotonic() + order.timeout_s
        self._watch_deadline(task)
        return {"say": "spawned", "pid": task.pid, "started": task.started}

    def _watch_deadline(self, task: Task) -> None:
        """Most tasks end long before their deadline, which may be days away: their entries are swept out in bulk."""
        if len(self._deadlines) > 2 * self._known.live + SPARE_DEADLINES:
            self._deadlines = [entry for entry in self._deadlines if entry[2].record is None]
            heapq.heapify(self._deadlines)
        heapq.heappush(self._deadlines, (task.deadline, task.mark, task))

    def _end(self, task: Task, how: str, grace_s: float) -> None:
        """Begin to end a task. It may have ended meanwhile: then its record already says how."""
        if task.record is not None:
            return
        now = time.monotonic()
        if task.ending is None:
            task.ending = Ending(how, now, grace_s)
            self._known.ending.append(task)
        else:
            task.ending.hasten(now, grace_s)

    def _forget(self, task: Task) -> None:
        if task.record is None:
            raise Refused("running", f"Task {task.task} of {task.host} has not ended.")
        del self._known.by_key[task.key]

    def _reap(self) -> None:
        """Everything that has died below us, adopted processes too."""
        died = False
        while True:
            try:
                pid, status, usage = os.wait4(self._next_dead() if self._known.ending else -1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            died = True
            task = self._known.by_pid.pop(pid, None)
            if task is not None:
                task.reaped = (status, usage)
                if task.ending is None:
                    self._record(task, EXIT)
        if died:
            self._known.groups.tidy()

    def _next_dead(self) -> int:
        """Look at a dead child before it is gone: whoever ends a task must know what else of it was alive until now."""
        dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if dead is None:
            return -1
        if dead.si_pid not in self._known.by_pid:
            self._known.died(worn_by(dead.si_pid))
        return dead.si_pid

    def _end_what_is_due(self, now: float) -> None:
        while self._deadlines and (self._deadlines[0][0] <= now or self._deadlines[0][2].record is not None):
            task = heapq.heappop(self._deadlines)[2]
            if task.ending is None:
                self._end(task, TIMED_OUT, task.kill_grace_s)
        for verdict in advance(self._known, now):
            self._record(verdict.task, verdict.how, verdict.message)
        if self._unwritten and now >= self._retry_at:
            waiting, self._unwritten = self._unwritten, []
            for task, record in waiting:
                self._write(task, record)

    def _record(self, task: Task, how: str, message: str = "") -> None:
        record = task.end(how, time.time(), message=message)
        self._known.ended(task)
        self._busy_at = time.monotonic()
        line = encode_exited(self._write(task, record))
        for connection in self._connections.values():
            connection.say_encoded(line)

    def _write(self, task: Task, record: dict[str, object]) -> bytes:
        """The record as it should stand in the file."""
        text = encode(record)
        try:
            write_record(task.folder, text, sync=self._sync)
        except OSError as error:
            if os.path.isdir(task.folder):  # else nobody can want it
                log(f"record of {task.host} {task.task}: {error.strerror}; trying again")
                self._unwritten.append((task, record))
                self._retry_at = time.monotonic() + RETRY_RECORD_S
        return text

    def _flush(self) -> None:
        for connection in list(self._connections.values()):
            try:
                if connection.flush():
                    wanted = select.EPOLLIN | (select.EPOLLOUT if connection.blocked else 0)
                    self._epoll.modify(connection.fileno(), wanted)
            except Lost as why:
                self._part(connection, str(why))


def log(line: str) -> None:
    """To the log file that stands at our standard error."""
    sys.stderr.write(time.strftime("%Y-%m-%dT%H:%M:%SZ ", time.gmtime()) + line + "\n")
    sys.stderr.flush()
