"""A task's output file, read as text from its beginning, and the pieces that it is sent in.

The same file always gives the same text, so nothing but the file is kept: a piece that must be sent again is read
again. Everything here blocks and runs in the worker's thread.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.journal import Span
from agent.text import NormalisedHash, TextFlow, cut_utf8
from contracts.agents import HEAD_BYTES, PIECE_BYTES

STEP_BYTES = 128 * 1024
"""Read at once. Even if each byte becomes an escape (`\\u0000`), the message stays below what the bus carries."""
CHUNK_BYTES = PIECE_BYTES - 64 * 1024
"""Text in a chunk, as far as its JSON then stays below PIECE_BYTES; else CHUNK_OF_ESCAPES_BYTES."""
CHUNK_OF_ESCAPES_BYTES = PIECE_BYTES // 6 - 1024


@dataclass(frozen=True, slots=True)
class Piece:
    offset: int
    text: str
    length: int

    @property
    def end(self) -> int:
        return self.offset + self.length


class Output:
    """Reads what is in the file now; more may come. Of the file, `keep` bytes count."""

    def __init__(self, path: Path, secrets: Iterable[str], keep: int) -> None:
        self._path = path
        self._flow = TextFlow(secrets)
        self._hash = NormalisedHash()
        self._file: int | None = None
        self.keep = keep
        self.raw = 0
        """Bytes of the file read so far."""
        self.total = 0
        """Bytes of text so far."""
        self.head = ""

    def size(self) -> int:
        """Bytes in the file; 0 if there is none."""
        try:
            return self._path.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            return 0

    @property
    def gone(self) -> bool:
        """There is no file, and it was not opened while there was: whatever the script wrote, nobody can read."""
        return self._file is None and not self._path.exists()

    def trim(self) -> int:
        """Cut the file off behind `keep`; the bytes that went. What is written meanwhile may go uncounted."""
        over = self.size() - self.keep
        if over <= 0:
            return 0
        os.truncate(self._open(), self.keep)
        return over

    def step(self) -> Piece | None:
        """The next piece; None at the end of what is there."""
        if self._file is None and self.size() == 0:
            return None
        data = os.pread(self._open(), min(STEP_BYTES, self.keep - self.raw), self.raw)
        if not data:
            return None
        self.raw += len(data)
        return self._piece(self._flow.feed(data))

    def end(self, marker: str) -> Piece:
        """What was held back, and the marker if something was cut off."""
        rest = self._flow.end(cut=bool(marker))
        return self._piece(rest + marker)

    def digest(self) -> str:
        return self._hash.hexdigest()

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _piece(self, text: str) -> Piece:
        length = len(text.encode())
        piece = Piece(self.total, text, length)
        self.total += length
        if piece.offset < HEAD_BYTES and text:
            self.head = cut_utf8(self.head + text, HEAD_BYTES)
        self._hash.feed(text)
        return piece

    def _open(self) -> int:
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        return self._file


def marker(keep: int, limit: int, dropped: int) -> str:
    """The last line of an output that was cut. `limit` is what a task may have, `keep` what this one could."""
    if not dropped:
        return ""
    which = f"output limit of {limit} bytes" if keep >= limit else "spool limit"
    return f"\n[drover: {which} reached, {dropped} bytes dropped]\n"


class Chunker:
    """Collects text from `at` on and hands it out in chunks."""

    def __init__(self, at: int) -> None:
        self.at = at
        self._texts: list[str] = []
        self.waiting = 0
        """Bytes collected."""

    def add(self, piece: Piece) -> None:
        start = self.at + self.waiting
        if piece.end <= start:
            return
        text = piece.text if piece.offset >= start else piece.text.encode()[start - piece.offset :].decode()
        self._texts.append(text)
        self.waiting += piece.end - start

    def skip_to(self, at: int) -> None:
        """Leave out what comes before `at`, which is at the end of a character."""
        if at > self.at:
            collected = "".join(self._texts).encode()[at - self.at :]
            self._texts, self.waiting, self.at = [collected.decode()], len(collected), at

    def next(self) -> tuple[Span, str]:
        """The next chunk, as large as a message may be. It stays here until `done`."""
        collected = "".join(self._texts)
        self._texts = [collected]
        text = cut_utf8(collected, CHUNK_BYTES)
        if len(msgspec.json.encode(text)) > PIECE_BYTES:
            text = cut_utf8(collected, CHUNK_OF_ESCAPES_BYTES)
        return Span(self.at, len(text.encode())), text

    def done(self, text: str) -> None:
        """The chunk with this text is noted."""
        length = len(text.encode())
        self._texts = ["".join(self._texts)[len(text) :]]
        self.waiting -= length
        self.at += length


def replay(output: Output, spans: Mapping[int, Span], last: str) -> Iterator[tuple[int, Span, str]]:
    """The chunks that lie at `spans` (number → where), read again. `last` is the marker. Ends early where the file
    was cut since."""
    collected, start, ended = b"", 0, False
    for n, span in sorted(spans.items()):
        while not ended and start + len(collected) < span.end:
            piece = output.step()
            ended = piece is None
            collected += (piece or output.end(last)).text.encode()
            unneeded = min(span.offset - start, len(collected))
            if unneeded > 0:
                collected, start = collected[unneeded:], start + unneeded
        wanted = collected[span.offset - start :][: span.length]
        if len(wanted) < span.length:
            return
        yield n, span, wanted.decode()
