"""Globs: `*` stands for any text, `?` for one character. Nobody can write one that is slow. Pure.

What lies between two stars is found at the first place where it can be, and an atomic group never looks for another
place. For globs that is always right, and so the time is bounded by the length of the text times that of the glob.
"""

import re
from collections.abc import Sequence
from enum import Enum

OPTIONS = "s"
"""A dot matches a line feed too; MongoDB takes this as an option, Python as re.DOTALL."""
_LAST_CHARACTER = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


class Wildcard(Enum):
    ANY = "*"
    ONE = "?"


Piece = str | Wildcard
Glob = tuple[Piece, ...]
"""Literal texts and wildcards, in their order."""


def literal(glob: Glob) -> str | None:
    """The text itself, if there is no wildcard in it."""
    return "".join(str(piece) for piece in glob) if all(isinstance(piece, str) for piece in glob) else None


def prefix(glob: Glob) -> str:
    """What every match begins with."""
    return glob[0] if glob and isinstance(glob[0], str) else ""


def is_beginning(glob: Glob) -> bool:
    """Whether the glob is a beginning and a star, so that a range says all of it."""
    return glob in {(Wildcard.ANY,), (prefix(glob), Wildcard.ANY)}


def after_all_with(beginning: str) -> str | None:
    """The least text that is greater than all texts with this beginning; None if there is none."""
    for length in range(len(beginning), 0, -1):
        last = ord(beginning[length - 1])
        if last < _LAST_CHARACTER:
            following = last + 1 if last + 1 not in _SURROGATES else _SURROGATES.stop
            return beginning[: length - 1] + chr(following)
    return None


def mongo_pattern(glob: Glob) -> str:
    """For PCRE, with OPTIONS."""
    return _anchored(glob) + r"\z"


def python_pattern(glob: Glob) -> re.Pattern[str]:
    return re.compile(_anchored(glob) + r"\Z", re.DOTALL)


def _anchored(glob: Glob) -> str:
    chunks: list[list[Piece]] = [[]]
    for piece in glob:
        if piece is Wildcard.ANY:
            chunks.append([])
        else:
            chunks[-1].append(piece)
    first, *rest = (_of_fixed_length(chunk) for chunk in chunks)
    if not rest:
        return rf"\A{first}"
    between = "".join(f"(?>.*?{chunk})" for chunk in rest[:-1])
    return rf"\A{first}{between}.*{rest[-1]}"


def _of_fixed_length(chunk: Sequence[Piece]) -> str:
    return "".join("." if isinstance(piece, Wildcard) else re.escape(piece) for piece in chunk)
