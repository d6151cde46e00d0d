"""How much goes into one reply."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

T = TypeVar("T")

LARGEST = 600 * 1024
"""Bytes; the bus carries them with room to spare."""


def fitting(found: Sequence[T]) -> list[T]:
    """The first ones that fit into one reply, at least one."""
    taken, size = list[T](), 0
    for each in found:
        size += len(msgspec.json.encode(each))
        if taken and size > LARGEST:
            break
        taken.append(each)
    return taken
