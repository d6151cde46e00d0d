"""What crosses the spawner's socket, and the record of how a task ended.

Lines of JSON. The agent sends requests, each with an `id`; the spawner answers each with that `id`, and tells every
connection by itself when a task ends:

    {"id": 1, "do": "spawn", ...an order...}        {"id": 1, "say": "spawned", "pid": 4711, "started": 1789.5}
    {"id": 2, "do": "stop", "host": h, "task": t,   {"id": 2, "say": "done"}
     "grace_s": 5}
    {"id": 3, "do": "list"}                         {"id": 3, "say": "tasks", "tasks": [...]}
    {"id": 4, "do": "forget", "host": h, "task": t} {"id": 4, "say": "done"}
                                                    {"say": "exited", "record": {...}}
    anything else                                   {"id": 5, "say": "refused", "reason": "...", "message": "..."}
"""

import json

MAX_LINE_BYTES = 8 * 1024 * 1024
"""A longer request ends the connection. Parameters are the only large thing in it."""
RECORD_NAME = "exit.json"
WORK_NAME = "work"
"""The script's current directory, below the task's folder. It is the account's; the folder itself is the agent's, so
that a script cannot put a link or a forged record where the agent reads and writes with its own rights."""

EXIT, TIMED_OUT, STOPPED, STOP_FAILED, SPAWN_FAILED = "exit", "timed_out", "stopped", "stop_failed", "spawn_failed"
RUNNING, STOPPING, ENDED = "running", "stopping", "ended"

_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
_ENCODER = json.JSONEncoder(separators=(",", ":"))
"""`json.dumps` would make one for each message."""
MAX_SECONDS = 10**7


class Refused(Exception):
    """The request cannot be done. `reason` is stable; the message is a sentence for a person."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Order:
    """One task to start. What is wrong in it is found here, before anything is touched."""

    __slots__ = ("account", "argv", "env", "folder", "host", "kill_grace_s", "output", "params", "task", "timeout_s")

    def __init__(self, fields: dict[str, object]) -> None:
        self.host, self.task = key_of(fields)
        self.argv = _words(fields, "argv")
        self.folder = _text(fields, "folder")
        self.output = _text(fields, "output")
        self.account = None if fields.get("account") is None else _text(fields, "account")
        self.env = _environment(fields.get("env"))
        self.timeout_s = seconds(fields, "timeout_s")
        self.kill_grace_s = seconds(fields, "kill_grace_s")
        params = fields.get("params")
        if params is not None and not isinstance(params, str):
            raise _malformed("params", "base64 text or null")
        self.params = params
        if not self.folder.startswith("/"):
            raise _malformed("folder", "an absolute path")
        if "/" in self.output or self.output in {".", "..", WORK_NAME, RECORD_NAME}:
            raise _malformed("output", "a plain file name")


def key_of(fields: dict[str, object]) -> tuple[str, str]:
    """(host, task): a spawner serves hundreds of agent objects, and one task goes to many hosts."""
    return _name(fields, "host"), _name(fields, "task")


def seconds(fields: dict[str, object], name: str) -> float:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_SECONDS:
        raise _malformed(name, f"a number of seconds from 0 to {MAX_SECONDS}")
    return float(value)


def encode(message: dict[str, object]) -> bytes:
    return _ENCODER.encode(message).encode() + b"\n"


def encode_exited(record: bytes) -> bytes:
    """The message for a record that is encoded already."""
    return b'{"say":"exited","record":' + record.rstrip(b"\n") + b"}\n"


def decode(line: bytes) -> dict[str, object]:
    """Raises Refused for whatever is not one JSON object."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise Refused("malformed", "The line is not JSON.") from None
    if not isinstance(message, dict):
        raise Refused("malformed", "A request is a JSON object.")
    return message


def _malformed(field: str, wanted: str) -> Refused:
    return Refused("malformed", f"{field} must be {wanted}.")


def _name(fields: dict[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 100 or not _NAME.issuperset(value):
        raise _malformed(name, "1 to 100 of the characters a-z 0-9 _ -")
    return value


def _text(fields: dict[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value or "\0" in value:
        raise _malformed(name, "text without NUL")
    return value


def _words(fields: dict[str, object], name: str) -> list[str]:
    value = fields.get(name)
    if not isinstance(value, list) or not value or not all(isinstance(w, str) and "\0" not in w for w in value):
        raise _malformed(name, "a list of words without NUL, the program first")
    return value


def _environment(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _malformed("env", "an object of text")
    for name, text in value.items():
        if not isinstance(text, str) or not name or "=" in name or "\0" in name + text:
            raise _malformed("env", "an object of text without NUL, and names without =")
    return value
