"""From the body of a `run` command to files and an argv. What must not run is found before anything is touched."""

import errno
import os
import pwd
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from agent.facts import own_account
from agent.folder import PASSABLE
from agent.grants import Refused
from agent.outcome_files import RESULT_NAME, TAG_NAME
from agent.passage import closed_folder
from agent.spawner.protocol import WORK_NAME
from agent.spawning import SpawnOrder
from contracts.agents import MAX_SCRIPT_BYTES, REFUSED_VARIABLES, Language, RunScript

SCRIPT_NAME = "script"
MOST_ARGUMENTS = 256
MOST_VARIABLES = 64
LONGEST_WORD = 8192

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh"})
PROGRAM_FOLDERS = frozenset({"/bin", "/usr/bin", "/usr/local/bin"})
NO_LOGIN = frozenset({"nologin", "false", "sync", "halt", "shutdown"})
_REFUSED_VARIABLE = re.compile(REFUSED_VARIABLES)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_.-]{0,31}\$?")
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


def read(body: bytes) -> RunScript:
    """Raises Refused for what no agent would run, whoever signed it."""
    try:
        order = msgspec.json.decode(body, type=RunScript)
        order.script.encode()
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise _malformed(f"The command cannot be read: {str(error)[:300]}") from None
    if len(order.script.encode()) > MAX_SCRIPT_BYTES or not order.script.strip() or "\0" in order.script:
        raise _malformed(f"A script has 1 to {MAX_SCRIPT_BYTES} bytes and no NUL.")
    _check_words("argument", order.args, MOST_ARGUMENTS)
    _check_names("variable", order.env)
    _check_names("parameter", order.parameters)
    for name in order.env:
        if _REFUSED_VARIABLE.fullmatch(name):
            raise Refused("run.refused_variable", f"{name} may not be set for a script.", final=True)
    return order


def account_of(order: RunScript, allowed: Iterable[str]) -> str | None:
    """The account to switch to, None for our own. Reads the host's accounts, which may block. Raises Refused."""
    allowed = frozenset(allowed)
    own = own_account()
    name = order.account or own
    if not _ACCOUNT.fullmatch(name) and order.account:
        raise Refused("account.refused", f"{name[:80]!r} is not the name of an account.", final=True)
    if allowed:
        if name not in allowed:
            raise Refused("account.refused", f"This host's agent runs no scripts as {name}.", final=True)
    elif name != own and os.geteuid() != 0:
        raise Refused("account.refused", f"The agent runs as {own} and cannot become {name}.", final=True)
    if name == own:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise Refused("account.unknown", f"This host has no account {name}.", final=True) from None
    if not allowed and Path(entry.pw_shell).name in NO_LOGIN:
        raise Refused("account.refused", f"{name} has no login shell; list it in the agent's accounts.", final=True)
    return name


def interpreter(order: RunScript) -> list[str]:
    """The program that reads the script, with its options. Raises Refused."""
    if order.language is Language.PYTHON:
        return ["python3"]
    first = order.script.partition("\n")[0]
    if not first.startswith("#!"):
        return ["/bin/bash" if os.access("/bin/bash", os.X_OK) else "/bin/sh"]
    program, *words = first[2:].split() or [""]
    if Path(program).name == "env" and str(Path(program).parent) in PROGRAM_FOLDERS:
        words = words[1:] if words[:1] == ["-S"] else words
        program, *words = words or [""]
        if program in SHELLS and all(word.startswith("-") for word in words):
            return [program, *words]
    elif Path(program).name in SHELLS and str(Path(program).parent) in PROGRAM_FOLDERS:
        return [program, *words]
    told = f"The script's first line names {first[2:80].strip()!r}. Shell scripts run with {', '.join(sorted(SHELLS))}."
    raise Refused("task.interpreter_refused", told, final=True)


def environment(order: RunScript, task: str, host: str, work: Path, library: Path) -> dict[str, str]:
    """Ours come last: a script's own settings cannot replace them."""
    ours = {
        "DROVER_LIB": str(library / "drover.sh"),
        "PYTHONPATH": str(library),
        "DROVER_RUN": task.rsplit("-", 3)[0],
        "DROVER_TASK": task,
        "DROVER_HOST": host,
        "DROVER_RESULT": str(work / RESULT_NAME),
        "DROVER_TAG_FILE": str(work / TAG_NAME),
    }
    if order.language is Language.PYTHON:
        ours["PYTHONUNBUFFERED"] = "1"  # or watchers see nothing until the end
    return {**order.env, **ours}


def place(folder: Path, script: str, account: str | None) -> Path:
    """Make the task's folder with the script in it, readable for its account only. Raises Refused."""
    path = folder / SCRIPT_NAME
    try:
        try:
            folder.mkdir(mode=PASSABLE)
        except FileExistsError:  # an agent that died before it could note the task
            shutil.rmtree(folder)
            folder.mkdir(mode=PASSABLE)
        folder.chmod(PASSABLE)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o500)
        try:
            content = memoryview(script.encode())
            while content:
                content = content[os.write(file, content) :]
            if account is not None:
                entry = pwd.getpwnam(account)
                os.fchown(file, entry.pw_uid, entry.pw_gid)
        finally:
            os.close(file)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        if error.errno in _NO_SPACE:
            raise Refused("task.no_space", "The agent's disk is full.", final=True) from None
        raise Refused("task.spawn_failed", f"The script cannot be written: {error.strerror}.", final=True) from None
    if account is not None and (closed := closed_folder(path, account)) is not None:
        shutil.rmtree(folder, ignore_errors=True)
        raise Refused("account.shut_out", f"{account} may not pass through {closed} to its script.", final=True)
    return path


def spawn_order(
    order: RunScript,
    *,
    host: str,
    task: str,
    folder: Path,
    library: Path,
    account: str | None,
    params: bytes | None,
) -> SpawnOrder:
    """Raises Refused."""
    return SpawnOrder(
        host=host,
        task=task,
        argv=(*interpreter(order), str(folder / SCRIPT_NAME), *order.args),
        folder=folder,
        account=account,
        env=environment(order, task, host, folder / WORK_NAME, library),
        timeout_s=order.timeout_s,
        kill_grace_s=order.kill_grace_s,
        params=params,
    )


def _check_words(what: str, words: Collection[str], most: int) -> None:
    if len(words) > most:
        raise _malformed(f"There are {len(words)} {what}s; {most} are the most.")
    for word in words:
        if len(word) > LONGEST_WORD or "\0" in word:
            raise _malformed(f"Each {what} has at most {LONGEST_WORD} characters and no NUL.")


def _check_names(what: str, variables: Mapping[str, str]) -> None:
    _check_words(what, variables.values(), MOST_VARIABLES)
    for name in variables:
        if not _VARIABLE.fullmatch(name):
            raise _malformed(f"{name[:80]!r} cannot be the name of a {what}.")


def _malformed(message: str) -> Refused:
    return Refused("command.malformed", message, final=True)
