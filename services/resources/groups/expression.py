"""The expression of a group, read once for all that is made of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from services.resources.expressions.attributes import Kind
from services.resources.expressions.parser import parse
from services.resources.expressions.predicate import Predicate, predicate
from services.resources.expressions.tree import Tree


@dataclass(frozen=True)
class Expression:
    tree: Tree

    @cached_property
    def holds(self) -> Predicate:
        return predicate(self.tree)


def read(text: str, declared: Mapping[str, Kind]) -> Expression:
    """Raises Invalid."""
    return Expression(parse(text, declared))
