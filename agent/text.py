"""Output as text: bytes in pieces of any size go in, the same text comes out however they were cut.

Pure. Offsets are bytes of the UTF-8 of that text.
"""

import codecs
import hashlib
import re
from collections.abc import Iterable

from contracts.runs import MASK


class Masker:
    """Puts MASK where a secret value stands, also when it comes in several pieces; of overlapping ones the one that
    begins first, and of those the longest. Text that may be the beginning of a value is held back."""

    def __init__(self, values: Iterable[str]) -> None:
        self._values = sorted({value for value in values if value}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, self._values))) if self._values else None
        self._longest = len(self._values[0]) if self._values else 0
        self._held = ""

    def feed(self, text: str, *, last: bool = False) -> str:
        if self._pattern is None:
            return text
        text = self._held + text
        shown: list[str] = []
        at = 0
        undecided = len(text) if last else self._undecided(text, at)
        while (found := self._pattern.search(text, at)) is not None and found.start() < undecided:
            shown += (text[at : found.start()], MASK)
            at = found.end()
            if at > undecided:
                undecided = self._undecided(text, at)
        shown.append(text[at:undecided])
        self._held = text[undecided:]
        return "".join(shown)

    def _undecided(self, text: str, at: int) -> int:
        """The first place from `at` on whose rest may be the beginning of a value that goes on in the next piece."""
        for start in range(max(at, len(text) - self._longest + 1), len(text)):
            rest = text[start:]
            if any(len(rest) < len(value) and value.startswith(rest) for value in self._values):
                return start
        return len(text)


class TextFlow:
    """Bytes of a script to text that may be shown: invalid UTF-8 as backslash escapes, secrets masked."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._masker = Masker(secrets)

    def feed(self, data: bytes) -> str:
        return self._masker.feed(self._decoder.decode(data))

    def end(self, *, cut: bool) -> str:
        """What was held back. With `cut`, half a character at the end is the cut's doing and is left out."""
        rest = "" if cut else self._decoder.decode(b"", final=True)
        return self._masker.feed(rest, last=True)


class NormalisedHash:
    """sha256 of `normalised` text, without ever holding all of it."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._blank = ""
        """White space that counts only if something follows."""

    def feed(self, text: str) -> None:
        text = self._blank + text
        solid = text.rstrip()
        self._blank = text[len(solid) :]
        if solid:
            self._hash.update(normalised(solid).encode())

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def normalised(text: str) -> str:
    """Outputs that differ only in white space at the ends of lines, or in empty lines at the end, count as equal."""
    return "\n".join(line.rstrip() for line in text.split("\n")).rstrip()


def cut_utf8(text: str, most: int) -> str:
    """The beginning of `text` that has at most `most` bytes of UTF-8."""
    encoded = text.encode()
    return text if len(encoded) <= most else encoded[:most].decode(errors="ignore")
