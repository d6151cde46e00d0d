"""One posix_spawn, with everything that must be right about it.

posix_spawn and not fork: it costs a quarter of it and cannot deadlock. It has no way to change folder or cgroup, so
the spawner, which has one thread, does both for itself around the call.
"""

import base64
import errno
import os
import signal

from agent.spawner.accounts import Accounts, Identity, find
from agent.spawner.cgroup import Groups
from agent.spawner.marks import ENVIRONMENT_NAME, Marks
from agent.spawner.protocol import WORK_NAME, Order, Refused
from agent.spawner.tasks import Task

PARAMS_FD = 90
"""Above what scripts use by hand (3 to 9) and shells use for themselves (from 10 up, and from 63 down)."""
_OTHER = ("task.spawn_failed", "The task could not be started")
_REASONS = {
    errno.ENOENT: ("task.interpreter_missing", "A program or folder is missing"),
    errno.ENOSPC: ("task.no_space", "The disk is full"),
    errno.EDQUOT: ("task.no_space", "The disk is full"),
}


class Launcher:
    """Starts tasks. `null` is an open /dev/null."""

    def __init__(self, groups: Groups, marks: Marks) -> None:
        self._groups = groups
        self._marks = marks
        self._accounts = Accounts()
        self._ignored = [int(number) for number in signal.valid_signals() if signal.getsignal(number) == signal.SIG_IGN]
        """What a child would go on ignoring if it were not told: Python's own choices, and those of a `nohup`."""
        self._null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def start(self, order: Order, task: Task) -> None:
        """Fill in the task's pid, folder, output and cgroup. Raises Refused; the task has then not begun."""
        try:
            self._start(order, task)
        except OSError as error:
            reason, meaning = _REASONS.get(error.errno or 0, _OTHER)
            where = f" ({error.filename})" if isinstance(error.filename, str) else ""
            raise Refused(reason, f"{meaning}: {error.strerror}{where}.") from None
        except ValueError:
            raise Refused("task.spawn_failed", "An argument cannot be passed to a program.") from None

    def _start(self, order: Order, task: Task) -> None:
        identity = self._accounts.identify(order.account)
        env = identity.environment() | order.env
        program = find(order.argv[0], env["PATH"])
        if program is None:
            raise Refused("task.interpreter_missing", f"This host has no program {order.argv[0]}.")
        argv = [*identity.switch, program, *order.argv[1:]] if identity.is_other else order.argv
        opened: list[int] = []
        try:
            output = _open_output(order, identity)
            opened.append(output)
            seen = os.fstat(output)
            task.output = (seen.st_dev, seen.st_ino)
            actions = [
                (os.POSIX_SPAWN_DUP2, self._null, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
            ]
            if order.params is not None:
                params = _open_params(order.params, identity)
                opened.append(params)
                actions.append((os.POSIX_SPAWN_DUP2, params, PARAMS_FD))
                env["DROVER_PARAMS_FD"] = str(PARAMS_FD)
            env |= {"DROVER_HOST": task.host, "DROVER_TASK": task.task, ENVIRONMENT_NAME: f"{task.mark:x}"}
            _enter_work(order, identity)
            task.folder = os.path.dirname(os.getcwd())
            self._spawn(task, identity.switch[0] if identity.is_other else program, argv, env, actions)
        finally:
            os.chdir("/")
            for file in opened:
                os.close(file)

    def _spawn(
        self, task: Task, program: str, argv: list[str], env: dict[str, str], actions: list[tuple[int, int, int]]
    ) -> None:
        self._marks.wear(task.mark)
        try:
            try:
                task.group = self._groups.enter()
            except OSError:
                task.group = None  # no room for another cgroup: the other ways of finding processes remain
            task.pid = os.posix_spawn(
                program, argv, env, file_actions=actions, setsid=True, setsigmask=(), setsigdef=self._ignored
            )
        except BaseException:
            self._groups.leave()
            self._groups.release(task.group)
            raise
        self._groups.leave()


def _open_output(order: Order, identity: Identity) -> int:
    """O_EXCL: a folder in which a task has once been started never starts one again, whoever asks."""
    path = f"{order.folder}/{order.output}"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        file = os.open(path, flags, 0o600)
    except FileExistsError:
        raise Refused("already_ran", f"A task was started in this folder before: {path} exists.") from None
    if identity.is_other:
        os.fchown(file, identity.entry.pw_uid, identity.entry.pw_gid)  # so that scripts can open /dev/stderr
    return file


def _open_params(params: str, identity: Identity) -> int:
    """Memory without a name. The account owns it, so that it can open /proc/self/fd/N and read from the start."""
    file = os.memfd_create("drover-params", os.MFD_CLOEXEC)
    try:
        content = memoryview(base64.b64decode(params, validate=True))
        while content:
            content = content[os.write(file, content) :]
        os.lseek(file, 0, os.SEEK_SET)
        os.fchmod(file, 0o400)
        if identity.is_other:
            os.fchown(file, identity.entry.pw_uid, identity.entry.pw_gid)
    except BaseException:
        os.close(file)
        raise
    return file


def _enter_work(order: Order, identity: Identity) -> None:
    work = f"{order.folder}/{WORK_NAME}"
    try:
        os.mkdir(work, 0o700)
    except FileExistsError:
        if os.path.islink(work):
            raise Refused("task.spawn_failed", f"{work} is a link.") from None
    if identity.is_other:
        os.chown(work, identity.entry.pw_uid, identity.entry.pw_gid, follow_symlinks=False)
    os.chdir(work)
