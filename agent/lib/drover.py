"""The base library of Python scripts that Drover runs: `import drover`.

Runs with every Python from 3.6 on and needs nothing else, because hosts differ.
"""

import json
import os
import re
import sys
import time
from typing import Any

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")
MAX_RESULT_BYTES = 65536

_REQUIRED = object()
_ESCAPE = re.compile(rb"\\0([0-7]{3})")
_TAG = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class MissingParameter(LookupError):
    """The run has no parameter of this name, and no default was given."""


class MissingVariable(LookupError):
    """The host has no variable of this key, and no default was given."""


def log(level: str, message: object) -> None:
    """One line with time (UTC) and level, to standard error."""
    if level not in LEVELS:
        raise ValueError("the level is {}, not {!r}".format(" or ".join(LEVELS), level))
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print(f"{stamp} {level:5} {message}", file=sys.stderr, flush=True)


def debug(message: object) -> None:
    log("DEBUG", message)


def info(message: object) -> None:
    log("INFO", message)


def warn(message: object) -> None:
    log("WARN", message)


def error(message: object) -> None:
    log("ERROR", message)


def param(name: str, default: Any = _REQUIRED) -> Any:
    """The parameter's exact text, or the default as it was given. Raises MissingParameter, and OSError if the
    descriptor was closed on the way to this program."""
    found = _value(name)
    if found is None and default is _REQUIRED:
        raise MissingParameter(f"there is no parameter {name}, and no default was given")
    return default if found is None else found


def var(key: str, default: Any = _REQUIRED) -> Any:
    """The text of a variable of this host by its flattened key, such as `region.id`; what is no text is JSON. Or the
    default as it was given. Raises MissingVariable, and OSError as `param` does."""
    found = _value("@" + key)
    if found is None and default is _REQUIRED:
        raise MissingVariable(f"there is no variable {key}, and no default was given")
    return default if found is None else found


def _value(name: str) -> Any:
    """None if there is none of this name."""
    number = os.environ.get("DROVER_PARAMS_FD")
    if number:
        with open(f"/proc/self/fd/{number}", "rb") as file:
            for line in file:
                written, _, value = line[:-1].partition(b"=")
                if _read(written) == name:
                    return _read(value)
    return None


def _read(written: bytes) -> str:
    return _ESCAPE.sub(lambda found: bytes([int(found.group(1), 8)]), written).decode()


def tag(name: str) -> None:
    """Mark this host's outcome with a tag. The last one counts."""
    if not _TAG.fullmatch(name):
        raise ValueError("a tag is 1 to 64 of the characters A-Z a-z 0-9 _ . -")
    _write("DROVER_TAG_FILE", name)


def result(value: Any) -> None:
    """Leave a value for the outcome document: whatever `json` can write. The last one counts."""
    text = json.dumps(value, allow_nan=False)
    if len(text) > MAX_RESULT_BYTES:
        raise ValueError(f"the result has {len(text)} bytes as JSON; {MAX_RESULT_BYTES} are the most")
    _write("DROVER_RESULT", text)


def _write(variable: str, text: str) -> None:
    """Whole or not at all, so that a script that is stopped leaves no half value."""
    path = os.environ[variable]
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)
