"""The one check that every token of a subject passes.

nats-py takes `*`, `>` and `a.b` as literal subject tokens, so a name that was never checked could widen a subject.
"""

import re

END = r"$(?!\n)"
"""The end of a pattern, and nothing after it: a bare `$` lets a line feed pass. Means the same in JSON Schema."""

TOKEN_PATTERN = r"^[a-z0-9_-]{1,64}" + END
_TOKEN = re.compile(r"[a-z0-9_-]{1,64}")


class BadToken(ValueError):
    """The name cannot be one token of a subject."""


def token(name: str) -> str:
    """Return `name` if it can be one token of a subject, else raise BadToken."""
    if not _TOKEN.fullmatch(name):
        raise BadToken(f"{name[:80]!r} is not a name: use 1 to 64 of the characters a-z 0-9 _ -")
    return name
