"""The tag and the result that a script left in its folder.

The folder is the account's, so whatever lies there may be a link to somebody else's file, a pipe that never ends, or
gigabytes. The agent reads with more rights than the script has, and so reads only small regular files with one name.
"""

import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

import msgspec

RESULT_NAME = "result.json"
TAG_NAME = "tag"
MAX_RESULT_BYTES = 64 * 1024
_TAG = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class LeftBehind(NamedTuple):
    tag: str = ""
    result: str = ""
    """JSON text that is known to parse; empty if the script wrote none."""
    problem: str = ""
    """A sentence for whoever wrote the script, if something was left that cannot be used."""


class _Unusable(Exception):
    """Its text completes the sentence "The script's ... "."""


def read_left_behind(work: Path) -> LeftBehind:
    """Read what the script wrote into its folder. Never raises for anything that a script can do there."""
    problems = []
    found = {}
    for name, what, check in ((TAG_NAME, "tag", _tag), (RESULT_NAME, "result", _result)):
        try:
            found[what] = check(_read(work / name))
        except _Unusable as problem:
            problems.append(f"The script's {what} {problem}.")
    return LeftBehind(problem=" ".join(problems), **found)


def _read(path: Path) -> bytes:
    """Empty if there is no such file."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise _Unusable(f"cannot be opened: {error.strerror}") from None
    try:
        kind = os.fstat(file)
        if not stat.S_ISREG(kind.st_mode) or kind.st_nlink != 1:
            raise _Unusable("is not a plain file")
        with open(file, "rb", closefd=False) as reader:
            content = reader.read(MAX_RESULT_BYTES + 1)
    finally:
        os.close(file)
    if len(content) > MAX_RESULT_BYTES:
        raise _Unusable(f"is larger than {MAX_RESULT_BYTES} bytes")
    return content.strip()


def _tag(content: bytes) -> str:
    tag = content.decode("ascii", "replace")
    if content and not _TAG.fullmatch(tag):
        raise _Unusable("is not 1 to 64 of the characters A-Z a-z 0-9 _ . -")
    return tag


def _result(content: bytes) -> str:
    if not content:
        return ""
    try:
        msgspec.json.decode(content)
        return content.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _Unusable("is not JSON") from None
