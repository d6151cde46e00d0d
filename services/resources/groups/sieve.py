"""Of hundreds of expressions, the few that can hold for a host at all. Pure.

Most of them ask for one of some texts (`business = shop and …`); a host that has none of these needs no closer look.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.resources.expressions.attributes import Attribute
from services.resources.expressions.predicate import reader
from services.resources.expressions.tree import And, Equals, Fits, Tree

_WIDE = frozenset({"idc", "state", "class", "arch", "os"})
"""Attributes that so many hosts share that asking for them leaves most expressions in."""


@dataclass(frozen=True)
class Need:
    """The host must have one of these texts."""

    attribute: Attribute
    texts: frozenset[str]


class Sieve:
    def __init__(self, trees: Sequence[Tree | None]) -> None:
        """None stands for what must be looked at for every host."""
        self._always: list[int] = []
        by_attribute: dict[Attribute, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for number, tree in enumerate(trees):
            needed = need(tree) if tree is not None else None
            if needed is None:
                self._always.append(number)
            else:
                for text in needed.texts:
                    by_attribute[needed.attribute][text].append(number)
        self._numbers = [(reader(attribute), dict(numbers)) for attribute, numbers in by_attribute.items()]

    def left(self, document: Mapping[str, Any]) -> list[int]:
        """The positions of those that may hold, in their order."""
        found = list(self._always)
        for read, numbers in self._numbers:
            for value in read(document):
                found += numbers.get(value, ())
        return sorted(set(found))


def need(tree: Tree) -> Need | None:
    """What a host must have for the expression to hold; None if that cannot be said in this way."""
    match tree:
        case Fits(attribute, tests):
            texts = [test.value for test in tests if isinstance(test, Equals)]
            named = frozenset(text for text in texts if isinstance(text, str))
            return Need(attribute, named) if len(texts) == len(tests) and named == set(texts) else None
        case And(parts):
            needs = [found for found in map(need, parts) if found is not None]
            return min(needs, key=lambda each: (each.attribute.name in _WIDE, len(each.texts)), default=None)
    return None
