"""Pages that fit into one message of the bus, whatever their items hold. Pure."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

T = TypeVar("T")

MOST_PAGE_BYTES = 700 * 1024
"""As JSON; the bus carries 900 KiB, and one item more than fits is at most 64 KiB of output, escaped."""


def fitting(items: Sequence[T], most_bytes: int = MOST_PAGE_BYTES) -> list[T]:
    """The first items, as many as fit, and at least one if there is one. A thousand hosts take milliseconds."""
    size = 0
    for index, item in enumerate(items):
        size += len(msgspec.json.encode(item)) + 1
        if size > most_bytes and index:
            return list(items[:index])
    return list(items)
