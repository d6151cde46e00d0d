"""Text that fits into one message of the bus, and where the next page begins. Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec

from runtime.paging import MOST_PAGE_BYTES


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
