"""The agent's side of the spawner: find it or start it, give orders, hear how tasks end.

One `Spawning` per agent process, however many agent objects it holds. Every method but `running` starts the spawner
if none lives. When the spawner dies, everything that waits gets SpawnerGone: its tasks may run on, but nobody can
know any more how they end, unless `read_exit_record` finds that they had ended before.
"""

import asyncio
import base64
import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from agent.spawner.protocol import ENDED, MAX_LINE_BYTES, RECORD_NAME, WORK_NAME

CONNECT_TRIES = 5
"""A spawner may leave for good at the moment we connect; then another is started."""
MAX_RECORD_BYTES = 65536
SOCKET_NAME = "socket"

EndedBy = Literal["exit", "timed_out", "stopped", "stop_failed", "spawn_failed"]
Key = tuple[str, str]


class SpawnerGone(Exception):
    """The spawner died or could not be started. What it was asked last may or may not have happened."""


class SpawnRefused(Exception):
    """The spawner will not do this. `reason` is stable: a row of contracts/reasons.py, or one of already_known,
    already_ran, unknown, running, malformed. After already_known and already_ran the task must not be started again.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, kw_only=True)
class SpawnOrder:
    """A task to start.

    `folder` exists, belongs to the agent, and can be entered by the account (mode 0711, and so every folder above).
    The spawner makes in it the output file, the exit record, and `work`, the script's current folder, which the
    account owns. `argv` may hold any text without NUL; a program without a slash is looked up on the PATH.
    """

    host: str
    task: str
    argv: tuple[str, ...]
    folder: Path
    account: str | None = None
    """By name; None is the agent's own."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to PATH, HOME, USER, LOGNAME, SHELL, LANG, which the account has anyway."""
    timeout_s: float
    kill_grace_s: float = 10.0
    params: bytes | None = None
    """What /proc/self/fd/$DROVER_PARAMS_FD holds; see agent/parameters.py."""
    output: str = "output"
    """Name of the file in `folder` for stdout and stderr, merged in order."""

    @property
    def work(self) -> Path:
        return self.folder / WORK_NAME


@dataclass(frozen=True, kw_only=True)
class Spawned:
    pid: int
    started: float
    """Seconds since 1970."""


class ExitRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How a task ended. Times are seconds since 1970."""

    host: str
    task: str
    pid: int
    """0 if it never started."""
    ended_by: EndedBy
    exit_code: int | None
    """Of the first process; None if a signal ended it, it never started, or it could not be ended."""
    signal: int | None
    reason: str
    message: str
    """For a person; empty when all is well."""
    started: float
    ended: float
    cpu_s: float | None
    boot_id: str


@dataclass(frozen=True, kw_only=True)
class KnownTask:
    """A task that the spawner knows. `record` is there once it has ended."""

    host: str
    task: str
    pid: int
    started: float
    state: Literal["running", "stopping", "ended"]
    record: ExitRecord | None


class Spawning:
    """`folder` is the spawner's own: socket, lock and log. It is made with mode 0700.

    `cgroup` is auto or off. `linger_s` is how long the spawner stays without agent and task. With `sync` exit records
    survive a power cut, at one fsync each.
    """

    def __init__(self, folder: Path, *, cgroup: str = "auto", linger_s: float = 300.0, sync: bool = False) -> None:
        self._folder = folder
        self._words = ("--socket", str(folder / SOCKET_NAME), "--cgroup", cgroup, "--linger", str(linger_s))
        self._sync = ("--sync",) if sync else ()
        self._connecting = asyncio.Lock()
        self._line: _Line | None = None
        self._exits: dict[Key, asyncio.Future[ExitRecord]] = {}

    async def spawn(self, order: SpawnOrder) -> Spawned:
        """Raises SpawnRefused (nothing was started; see its reasons) and SpawnerGone (nobody knows)."""
        line = await self._reach(start=True)
        if line is None:
            raise SpawnerGone("The spawner could not be started.")
        self._exit_of((order.host, order.task))
        try:
            answer = await line.ask(_order_message(order))
        except SpawnRefused as refused:
            if refused.reason != "already_known":
                self._exits.pop((order.host, order.task), None)
            raise
        return Spawned(pid=answer["pid"], started=answer["started"])

    async def wait_exit(self, host: str, task: str) -> ExitRecord:
        """Of a task that was started or found with `running`. Raises SpawnerGone if the spawner dies first."""
        future = self._exits.get((host, task))
        if future is None:
            raise SpawnerGone(f"Task {task} of {host} was neither started here nor found with `running`.")
        return await asyncio.shield(future)

    async def stop(self, host: str, task: str, grace_s: float) -> None:
        """Begin to end it; `wait_exit` tells the outcome. Harmless for a task that has ended."""
        await self._ask_living({"do": "stop", "host": host, "task": task, "grace_s": grace_s})

    async def forget(self, host: str, task: str) -> None:
        """The agent has the record safely in its journal. Until then the spawner remembers the task."""
        self._exits.pop((host, task), None)
        with contextlib.suppress(SpawnerGone, SpawnRefused):  # then there is nothing to forget
            await self._ask_living({"do": "forget", "host": host, "task": task})

    async def running(self) -> list[KnownTask]:
        """What a living spawner knows, also tasks that ended while no agent was there. Never starts one."""
        line = await self._reach(start=False)
        if line is None:
            return []
        return [_known(fields) for fields in (await line.ask({"do": "list"}))["tasks"]]

    async def close(self) -> None:
        """Hang up; whoever waits for an end is cancelled. The spawner and its tasks live on."""
        for future in self._exits.values():
            future.cancel()
        if self._line is not None:
            self._line.hang_up()
            await self._line.closed
            self._line = None

    async def _ask_living(self, message: dict[str, object]) -> None:
        line = await self._reach(start=False)
        if line is None:
            raise SpawnerGone("No spawner lives.")
        await line.ask(message)

    def _exit_of(self, key: Key) -> "asyncio.Future[ExitRecord]":
        if key not in self._exits:
            self._exits[key] = asyncio.get_running_loop().create_future()
        return self._exits[key]

    async def _reach(self, *, start: bool) -> "_Line | None":
        async with self._connecting:
            for _ in range(CONNECT_TRIES):
                if self._line is not None and not self._line.closed.done():
                    return self._line
                self._line = await self._connect()
                if self._line is None:
                    if not start:
                        return None
                    await self._start()
            return self._line

    async def _connect(self) -> "_Line | None":
        """A line counts only once the spawner has answered on it: before that it may be leaving."""
        loop = asyncio.get_running_loop()
        try:
            folder = os.open(self._folder, os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            return None
        try:
            short = f"/proc/self/fd/{folder}/{SOCKET_NAME}"  # a socket's path has at most 107 bytes
            _, line = await loop.create_unix_connection(
                lambda: _Line(self._on_tasks, self._on_exit, self._on_gone), short
            )
            await line.ask({"do": "list"})
        except (OSError, SpawnerGone):
            return None
        finally:
            os.close(folder)
        return line

    async def _start(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        env = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": _package_folder()}
        with (self._folder / "log").open("ab") as log:
            starter = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-S", "-m", "agent.spawner", *self._words, *self._sync),
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            if await starter.wait() != 0:
                raise SpawnerGone(f"The spawner did not start; see {self._folder / 'log'}.")

    def _on_tasks(self, tasks: list[dict[str, Any]]) -> None:
        """Called while the answer is read: the end of a task in it may be the very next line."""
        for task in map(_known, tasks):
            future = self._exit_of((task.host, task.task))
            if task.record is not None and not future.done():
                future.set_result(task.record)

    def _on_exit(self, record: ExitRecord) -> None:
        future = self._exits.get((record.host, record.task))
        if future is not None and not future.done():
            future.set_result(record)

    def _on_gone(self) -> None:
        """Everything that waits for an end is told; the agent decides what it means."""
        for future in self._exits.values():
            if not future.done():
                future.set_exception(SpawnerGone("The spawner is gone, and with it the knowledge of its tasks."))
                future.exception()  # nobody has to wait for each of them


class _Line(asyncio.Protocol):
    """One connection to the spawner. Requests of one turn of the loop go out in one write."""

    def __init__(
        self,
        on_tasks: Callable[[list[dict[str, Any]]], None],
        on_exit: Callable[[ExitRecord], None],
        on_gone: Callable[[], None],
    ) -> None:
        self._on_tasks = on_tasks
        self._on_exit = on_exit
        self._on_gone = on_gone
        self._loop = asyncio.get_running_loop()
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._out: list[bytes] = []
        self._in = b""
        self._hung_up = False
        self._transport: asyncio.Transport
        self.closed = self._loop.create_future()

    async def ask(self, message: dict[str, object]) -> dict[str, Any]:
        """The answer. Raises SpawnRefused and SpawnerGone."""
        self._number += 1
        text = msgspec.json.encode({"id": self._number, **message}) + b"\n"
        if len(text) > MAX_LINE_BYTES:
            raise SpawnRefused("malformed", "The order is too large.")
        if self.closed.done():
            raise SpawnerGone("The spawner is gone.")
        future = self._asked[self._number] = self._loop.create_future()
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(text)
        answer: dict[str, Any] = await future
        if answer["say"] == "refused":
            raise SpawnRefused(answer["reason"], answer["message"])
        return answer

    def hang_up(self) -> None:
        self._hung_up = True
        self._transport.close()

    def _flush(self) -> None:
        out, self._out = b"".join(self._out), []
        self._transport.write(out)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        *lines, self._in = (self._in + data).split(b"\n")
        for line in lines:
            message: dict[str, Any] = msgspec.json.decode(line)
            if message["say"] == "exited":
                self._on_exit(_record(message["record"]))
            else:
                if message["say"] == "tasks":
                    self._on_tasks(message["tasks"])
                future = self._asked.pop(message["id"])
                if not future.done():
                    future.set_result(message)

    def connection_lost(self, error: Exception | None) -> None:
        for future in self._asked.values():
            if not future.done():
                future.set_exception(SpawnerGone("The spawner is gone."))
        self._asked.clear()
        self.closed.set_result(None)
        if not self._hung_up:
            self._on_gone()


def _package_folder() -> str:
    return str(Path(__file__).resolve().parent.parent)


def read_exit_record(folder: Path) -> ExitRecord | None:
    """The record that the spawner left in a task's folder; None if there is none (yet)."""
    try:
        with (folder / RECORD_NAME).open("rb") as file:
            return msgspec.json.decode(file.read(MAX_RECORD_BYTES), type=ExitRecord)
    except FileNotFoundError:
        return None


def _order_message(order: SpawnOrder) -> dict[str, object]:
    return {
        "do": "spawn",
        "host": order.host,
        "task": order.task,
        "argv": list(order.argv),
        "folder": str(order.folder.absolute()),
        "account": order.account,
        "env": dict(order.env),
        "timeout_s": order.timeout_s,
        "kill_grace_s": order.kill_grace_s,
        "params": None if order.params is None else base64.b64encode(order.params).decode(),
        "output": order.output,
    }


def _record(fields: Mapping[str, Any]) -> ExitRecord:
    return msgspec.convert(fields, ExitRecord)


def _known(fields: Mapping[str, Any]) -> KnownTask:
    record = _record(fields["record"]) if fields["state"] == ENDED else None
    return KnownTask(
        host=fields["host"],
        task=fields["task"],
        pid=fields["pid"],
        started=fields["started"],
        state=fields["state"],
        record=record,
    )
