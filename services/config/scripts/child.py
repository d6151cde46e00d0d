"""Reads texts that somebody sent, in a process of its own that may take so much and no more.

Started as a file, alone: a request as JSON on stdin, the answer as JSON on stdout. It never runs what it reads.
"""

import difflib
import json
import resource
import sys
import warnings
from itertools import islice
from typing import Any

MEMORY_BYTES = 1024**3
MOST_DIFF_CHARACTERS = 300_000
MOST_DIFF_LINES = 20_000


def syntax(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """What this Python says of the text: errors, and warnings of what will be one."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            compile(asked["text"], "script", "exec", dont_inherit=True)
            found = []
        except SyntaxError as error:
            found = [_finding(error.lineno, error.offset, "error", type(error).__name__, error.msg)]
        except (ValueError, RecursionError, MemoryError, OverflowError) as error:
            message = str(error) or "nested too deeply, or too large"
            found = [_finding(1, 1, "error", type(error).__name__, message)]
    told = [w for w in warned if issubclass(w.category, SyntaxWarning | DeprecationWarning)]
    return found + [_finding(w.lineno, 1, "warning", w.category.__name__, str(w.message)) for w in told]


def _finding(line: int | None, column: int | None, level: str, code: str, message: str) -> dict[str, Any]:
    # Unknown places are 0 or None; both mean the beginning.
    return {"line": line or 1, "column": max(column or 1, 1), "level": level, "code": code, "message": message}


def diff(asked: dict[str, Any]) -> dict[str, Any]:
    before, after = (asked[side].splitlines(keepends=True) for side in ("before", "after"))
    lines = difflib.unified_diff(before, after, asked["before_name"], asked["after_name"])
    kept = list(islice(lines, MOST_DIFF_LINES + 1))
    text = "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in kept)
    cut = len(kept) > MOST_DIFF_LINES or len(text) > MOST_DIFF_CHARACTERS
    return {"text": text[:MOST_DIFF_CHARACTERS], "cut": cut}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    asked = json.loads(sys.stdin.buffer.read())
    answer = {"syntax": syntax, "diff": diff}[asked["do"]](asked)
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
