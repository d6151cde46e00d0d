"""Pieces of one host's output, put together by their offsets. Pure.

Offsets count bytes of UTF-8. Pieces may overlap and may come in any number; what is missing ends what can be read.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Piece(NamedTuple):
    offset: int
    text: str

    @property
    def end(self) -> int:
        return self.offset + len(self.text.encode())


def joined(pieces: Iterable[Piece], offset: int, limit: int) -> tuple[str, int]:
    """The text from `offset` on, at most `limit` bytes of whole characters, and the offset behind it.

    Pieces must be sorted by offset. An offset inside a character begins with the next one.
    """
    parts: list[bytes] = []
    at = start = offset
    for piece in pieces:
        if piece.offset > at:
            break
        data = piece.text.encode()
        if piece.offset + len(data) <= at:
            continue
        parts.append(data[at - piece.offset :])
        at = piece.offset + len(data)
        if at - start >= limit:
            break
    data = b"".join(parts)
    skipped = _continuation(data)
    kept = _whole(data[skipped:], limit)
    return kept.decode(), start + skipped + len(kept)


def _continuation(data: bytes) -> int:
    """Bytes at the beginning that belong to a character before it."""
    count = 0
    while count < len(data) and data[count] & 0xC0 == 0x80:
        count += 1
    return count


def _whole(data: bytes, limit: int) -> bytes:
    """At most `limit` bytes, ending at a whole character; the first character is whole even if it is longer."""
    if len(data) <= limit:
        return data
    end = limit
    while end > 0 and data[end] & 0xC0 == 0x80:
        end -= 1
    if end == 0:
        end = 1
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end += 1
    return data[:end]


def contiguous(pieces: Iterable[Piece]) -> Iterator[str]:
    """The texts from the beginning on, without overlaps, until one is missing."""
    at = 0
    for piece in pieces:
        if piece.offset > at:
            return
        data = piece.text.encode()
        if piece.offset + len(data) > at:
            yield data[at - piece.offset :].decode(errors="replace")
            at = piece.offset + len(data)
