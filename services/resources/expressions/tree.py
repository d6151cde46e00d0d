"""An expression as a tree. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from services.resources.expressions.attributes import LABELS, Attribute
from services.resources.expressions.globs import Glob


class Order(StrEnum):
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="


@dataclass(frozen=True)
class Equals:
    value: str | int | bool


@dataclass(frozen=True)
class Like:
    glob: Glob


@dataclass(frozen=True)
class Within:
    network: IPv4Network | IPv6Network


@dataclass(frozen=True)
class Compared:
    order: Order
    number: int


Test = Equals | Like | Within | Compared


@dataclass(frozen=True)
class Fits:
    """The host has a value of the attribute that passes one of the tests."""

    attribute: Attribute
    tests: tuple[Test, ...]
    column: int = field(compare=False)


@dataclass(frozen=True)
class InGroup:
    name: str
    column: int = field(compare=False)


@dataclass(frozen=True)
class Not:
    part: "Tree"


@dataclass(frozen=True)
class And:
    parts: tuple["Tree", ...]


@dataclass(frozen=True)
class Or:
    parts: tuple["Tree", ...]


Tree = Fits | InGroup | Not | And | Or


def groups(tree: Tree) -> dict[str, int]:
    """The groups that a tree names → the column of the first mention."""
    found: dict[str, int] = {}
    for leaf in leaves(tree):
        if isinstance(leaf, InGroup):
            found.setdefault(leaf.name, leaf.column)
    return found


def labels(tree: Tree) -> dict[str, int]:
    """The labels that a tree names → the column of the first mention."""
    found: dict[str, int] = {}
    for leaf in leaves(tree):
        if isinstance(leaf, Fits) and leaf.attribute.path[0] == LABELS:
            found.setdefault(leaf.attribute.path[1], leaf.column)
    return found


def asked(tree: Tree) -> Iterator[Attribute]:
    """The attributes that a tree names, as often as it names them."""
    return (leaf.attribute for leaf in leaves(tree) if isinstance(leaf, Fits))


def leaves(tree: Tree) -> Iterator[Fits | InGroup]:
    match tree:
        case Not(part):
            yield from leaves(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from leaves(part)
        case _:
            yield tree
