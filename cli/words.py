"""Options that take one word out of an enumeration of the contracts."""

from enum import Enum, StrEnum
from typing import TypeVar

import click

E = TypeVar("E", bound=StrEnum)


class Word(click.Choice[E]):
    """The words are the values that the API uses; the members' names are our own business."""

    def normalize_choice(self, choice: object, ctx: click.Context | None) -> str:
        return str(choice.value if isinstance(choice, Enum) else choice)
