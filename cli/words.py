"""Words that options and arguments take: those of an enumeration, and names with a version."""

from enum import Enum, StrEnum
from typing import TypeVar

import click

E = TypeVar("E", bound=StrEnum)
MOST_VERSIONS = 1_000_000


class Word(click.Choice[E]):
    """The words are the values that the API uses; the members' names are our own business."""

    def normalize_choice(self, choice: object, ctx: click.Context | None) -> str:
        return str(choice.value if isinstance(choice, Enum) else choice)


class Version(click.ParamType[tuple[str, int]]):
    """NAME or NAME@VERSION; becomes both, with 0 where no version is named."""

    name = "version"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        name, at, number = str(value).partition("@")
        if not name or (at and not (number.isascii() and number.isdecimal() and 0 < int(number) <= MOST_VERSIONS)):
            self.fail(f"{value!r}: write NAME or NAME@VERSION", param, ctx)
        return name, int(number or 0)
