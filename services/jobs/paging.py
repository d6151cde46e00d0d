"""Pages that fit into one message of the bus, whatever their items hold. Pure."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

MOST_PAGE_BYTES = 700 * 1024
"""As JSON; the bus carries 900 KiB, and one item more than fits is at most 64 KiB of output, escaped."""


def fitting(items: Sequence[T], most_bytes: int = MOST_PAGE_BYTES) -> list[T]:
    """The first items, as many as fit, and at least one if there is one."""
    size = 0
    for index, item in enumerate(items):
        size += len(msgspec.json.encode(item)) + 1
        if size > most_bytes and index:
            return list(items[:index])
    return list(items)


def fitting_text(text: str) -> str:
    """The beginning of `text`, cut so that it fits even where JSON writes one character as six."""
    while len(msgspec.json.encode(text)) > MOST_PAGE_BYTES:
        text = text[: len(text) // 2]
    return text


def cut(text: str, most_bytes: int) -> str:
    """The beginning of `text` in at most so many bytes of UTF-8, ending at a whole character."""
    if len(text) * 4 <= most_bytes:
        return text
    return text.encode()[:most_bytes].decode(errors="ignore")


def last(items: Sequence[Any], limit: int, key: str) -> str:
    """What to pass as `after` for the page that follows; nothing if this one was not full."""
    return str(getattr(items[-1], key)) if len(items) >= limit else ""
