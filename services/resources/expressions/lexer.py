"""The text of an expression, cut into tokens that know their column. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

from contracts.errors import Invalid
from services.resources.expressions.globs import Glob, Wildcard

MOST_BYTES = 4096

_TOKEN = re.compile(
    r"""(?P<space>\s+)"""
    r"""|(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"""|(?P<operator>!=|<=|>=|=|<|>)"""
    r"""|(?P<mark>[(),])"""
    r"""|(?P<word>[^\s()"',=!<>]+)""",
    re.DOTALL,
)
_IN_STRING = re.compile(r"\\(.)|([*?])", re.DOTALL)
_IN_WORD = re.compile(r"(?!)()|([*?])")


class Kind(StrEnum):
    WORD = "word"
    STRING = "string"
    OPERATOR = "operator"
    MARK = "mark"
    END = "end"


@dataclass(frozen=True)
class Token:
    kind: Kind
    text: str
    """As it was written."""
    column: int
    """Of its first character, counted in characters from 1."""

    @property
    def end(self) -> int:
        return self.column + len(self.text)

    @property
    def glob(self) -> Glob:
        """The value that a word or a string stands for. In a string a backslash takes a wildcard its meaning."""
        if self.kind is Kind.STRING:
            return _glob(self.text[1:-1], _IN_STRING)
        return _glob(self.text, _IN_WORD)

    @property
    def shown(self) -> str:
        return "the end" if self.kind is Kind.END else self.text if len(self.text) <= 40 else self.text[:40] + "…"


def tokens(text: str) -> list[Token]:
    """The last one is the END. Raises Invalid."""
    size = len(text.encode(errors="replace"))
    if size > MOST_BYTES:
        raise Invalid(
            "expression.too_large", f"The expression has {size} bytes; it may have {MOST_BYTES}. Split it into groups."
        )
    return list(_cut(text))


def refuse(column: int, found: str, *expected: str) -> NoReturn:
    """Raises Invalid for what cannot be read at this column, with what could stand there."""
    raise Invalid(
        "expression.malformed",
        f"Column {column} of the expression: {found}; expected {_listed(expected)}.",
        {"column": column, "expected": list(expected)},
    )


def _listed(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _cut(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            refuse(at + 1, *_unreadable(text[at]))
        if found.lastgroup != "space":
            _refuse_invisible(found[0], at + 1)
            yield Token(Kind(str(found.lastgroup)), found[0], at + 1)
        at = found.end()
    yield Token(Kind.END, "", len(text) + 1)


def _unreadable(character: str) -> tuple[str, str]:
    if character in "\"'":
        return "the quote is never closed", f"another {character}"
    return f"{character} means nothing alone", "!="


def _refuse_invisible(text: str, column: int) -> None:
    for offset, character in enumerate(text):
        if not character.isprintable():
            refuse(column + offset, f"the character U+{ord(character):04X} cannot be seen", "a visible one")


def _glob(text: str, special: re.Pattern[str]) -> Glob:
    """`special` finds an escaped character as its first group, a wildcard as its second."""
    pieces: list[str | Wildcard] = []
    at = 0
    for found in special.finditer(text):
        _add(pieces, text[at : found.start()])
        if found[2]:
            pieces.append(Wildcard(found[2]))
        else:
            _add(pieces, found[1])
        at = found.end()
    _add(pieces, text[at:])
    return tuple(pieces)


def _add(pieces: list[str | Wildcard], text: str) -> None:
    if pieces and isinstance(pieces[-1], str):
        pieces[-1] += text
    elif text:
        pieces.append(text)
