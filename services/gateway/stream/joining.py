"""Live pieces of one text, put in order behind what is known of it. Pure.

Pieces arrive as they are spoken: some are lost, some come before the reader has what lies in front of them. Only what
joins is handed out; the rest waits here as long as there is room, newest first to stay, for the store to fill the gap.
"""

from collections import deque
from typing import NamedTuple

MOST_BYTES = 1024 * 1024


class Piece(NamedTuple):
    offset: int
    """Bytes of text in front of it."""
    text: bytes

    @property
    def end(self) -> int:
        return self.offset + len(self.text)


class Pieces:
    def __init__(self) -> None:
        self._waiting: deque[Piece] = deque()
        self._bytes = 0

    def add(self, piece: Piece) -> None:
        self._waiting.append(piece)
        self._bytes += len(piece.text)
        while self._bytes > MOST_BYTES and len(self._waiting) > 1:
            self._drop()

    def next(self, at: int) -> bytes:
        """The text that follows at `at`; nothing if it is not here."""
        while self._waiting and self._waiting[0].end <= at:
            self._drop()
        if not self._waiting or self._waiting[0].offset > at:
            return b""
        first = self._drop()
        return first.text[at - first.offset :]

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def clear(self) -> None:
        self._waiting.clear()
        self._bytes = 0

    def _drop(self) -> Piece:
        piece = self._waiting.popleft()
        self._bytes -= len(piece.text)
        return piece
