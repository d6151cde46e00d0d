"""All groups as they are at one moment: who uses whom, and what being in one means. Pure.

What it says of a host by a query and what it says by looking at the document is the same.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any

from contracts.errors import Invalid
from contracts.groups import Group, GroupKind, Membership
from services.resources.expressions.attributes import CUSTOM
from services.resources.expressions.predicate import Around, Predicate
from services.resources.expressions.query import condition
from services.resources.expressions.tree import And, Fits, InGroup, Not, Or, Tree, asked
from services.resources.groups.expression import Expression
from services.resources.groups.names import EVERY_HOST, GLOBAL, IDC, SET, of_idc, of_set, precedence
from services.resources.groups.sieve import Sieve
from services.resources.hosts.criteria import NOBODY, Condition
from services.resources.hosts.document import GROUPS

Document = Mapping[str, Any]

LARGEST = 5000
"""Terms of a query. What groups of groups make of it together is bounded, not only each expression."""
DEEPEST = 80
"""Levels of a query; MongoDB takes a hundred."""


@dataclass(frozen=True)
class Stored:
    group: Group
    key: str
    """Never used again, so that a group which takes the name of a deleted one has none of its hosts."""
    uses: tuple[str, ...] = ()
    """Groups that its list of groups or its expression names."""
    past: tuple[Any, ...] = field(default=(), compare=False)
    """What its last changes replaced, as runtime.revisions has it."""


@dataclass(frozen=True)
class Size:
    terms: int
    levels: int


@dataclass(frozen=True)
class Choice:
    """Groups that are asked for, and the places of all that decide who is in them."""

    names: frozenset[str]
    positions: frozenset[int]


class Catalogue:
    def __init__(
        self, stored: Iterable[Stored], *, idcs: Iterable[str], sets: Iterable[str], read: Callable[[str], Expression]
    ) -> None:
        """`read` reads an expression, and may remember it."""
        self._read = read
        self._stored = {each.group.name: each for each in stored}
        themselves = [EVERY_HOST, *map(of_idc, idcs), *map(of_set, sets)]
        self._groups = {each.name: each for each in themselves} | {
            name: each.group for name, each in self._stored.items()
        }
        self._sizes: dict[str, Size] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._groups

    def __len__(self) -> int:
        """How many groups people made."""
        return len(self._stored)

    def get(self, name: str) -> Group | None:
        return self._groups.get(name)

    def stored(self, name: str) -> Stored | None:
        """None also for groups that exist by themselves."""
        return self._stored.get(name)

    @cached_property
    def by_name(self) -> list[Group]:
        """Sorted."""
        return [self._groups[name] for name in sorted(self._groups)]

    def users(self, name: str) -> list[str]:
        """The groups that use this one, sorted."""
        return sorted(other for other, each in self._stored.items() if name in each.uses)

    def asking_for(self, attribute: str) -> str:
        """A group whose expression asks for the attribute that people declared; empty if there is none."""
        wanted = (CUSTOM, attribute)
        for each in self._stored.values():
            if each.group.expression and any(leaf.path == wanted for leaf in asked(self._tree(each.group))):
                return each.group.name
        return ""

    def cycle(self, name: str, uses: Iterable[str]) -> list[str]:
        """The way from the group to itself, if it were to use these; empty if there is none."""
        try:
            self._order({name: tuple(uses)})
        except CycleError as error:
            way: list[str] = error.args[1][:0:-1]
            start = way.index(name)
            return [*way[start:], *way[:start], name]
        return []

    def _order(self, changed: dict[str, tuple[str, ...]]) -> list[str]:
        """Names of stored groups, each after those that it uses. Raises CycleError."""
        edges = {name: each.uses for name, each in self._stored.items()} | changed
        return [name for name in TopologicalSorter(edges).static_order() if name in edges]

    def being_in(self, names: Iterable[str], *, heard_after: datetime) -> Condition:
        """Of hosts in at least one of the groups. Raises Invalid if that is more than one query can say."""
        names = list(names)
        _refuse_large(self._size(names), ", ".join(names[:10]))
        return self._being_in(names, heard_after)

    def _being_in(self, names: Iterable[str], heard_after: datetime) -> Condition:
        within = self._closure(names)
        if GLOBAL in within:
            return {}
        keys = sorted(self._stored[name].key for name in within if self._is_static(name))
        idcs = sorted(name.removeprefix(IDC) for name in within if name.startswith(IDC))
        sets = sorted(name.removeprefix(SET) for name in within if name.startswith(SET))
        ways: list[Condition] = [
            {field: {"$in": values}} for field, values in ((GROUPS, keys), ("idc", idcs), ("host_set", sets)) if values
        ]
        ways += [self._fitting(self._tree(group), heard_after) for group in self._dynamic(within)]
        return ways[0] if len(ways) == 1 else {"$or": ways} if ways else NOBODY

    def fitting(self, tree: Tree, *, heard_after: datetime) -> Condition:
        """Of hosts that fit an expression. Raises Invalid if that is more than one query can say."""
        _refuse_large(self._size_of_tree(tree), "the expression")
        return self._fitting(tree, heard_after)

    def _fitting(self, tree: Tree, heard_after: datetime) -> Condition:
        return condition(tree, lambda part: self._being_in((part.name,), heard_after), heard_after=heard_after)

    def _size(self, names: Iterable[str]) -> Size:
        """How large the condition of being in one of the groups is."""
        sizes = [self._size_of(group) for group in self._dynamic(self._closure(names))]
        return Size(4 + sum(each.terms for each in sizes), 2 + max((each.levels for each in sizes), default=0))

    def _size_of_tree(self, tree: Tree) -> Size:
        match tree:
            case And(parts) | Or(parts):
                sizes = [self._size_of_tree(part) for part in parts]
                return Size(sum(each.terms for each in sizes), 1 + max(each.levels for each in sizes))
            case Not(part):
                inner = self._size_of_tree(part)
                return Size(inner.terms, 1 + inner.levels)
            case InGroup(name):
                return self._size((name,))
            case Fits(_, tests):
                return Size(len(tests), 2)

    def _size_of(self, group: Group) -> Size:
        if group.name not in self._sizes:
            self._sizes[group.name] = self._size_of_tree(self._tree(group))
        return self._sizes[group.name]

    def choice(self, names: Collection[str]) -> "Choice":
        """For `memberships`: only these groups. What they depend on has to be known all the same."""
        needed = {name for name in names if name in self}
        ahead = list(needed)
        while ahead:
            each = self._stored.get(ahead.pop())
            new = set(each.uses) - needed if each else set()
            needed |= new
            ahead += new
        positions = [number for number, each in enumerate(self._used_before_users) if each[0] in needed]
        return Choice(frozenset(names), frozenset(positions))

    def memberships(
        self, document: Document, *, heard_after: datetime, among: "Choice | None" = None
    ) -> list[Membership]:
        """In which groups a host is, from the lowest precedence to the highest.

        Raises Invalid if a group has an expression that does not hold any more.
        """
        found = _by_themselves(document)
        found |= {self._of_key[key] for key in document.get(GROUPS) or () if key in self._of_key}
        around = Around(found, heard_after)
        for number in self._sieve.left(document):
            if among is not None and number not in among.positions:
                continue
            name, holds, nested = self._used_before_users[number]
            if (holds is not None and holds(document, around)) or not found.isdisjoint(nested):
                found.add(name)
        wanted = found if among is None else found & among.names
        return sorted(map(self._membership, wanted), key=precedence)

    @cached_property
    def _of_key(self) -> dict[str, str]:
        return {each.key: name for name, each in self._stored.items() if not each.group.expression}

    @cached_property
    def _used_before_users(self) -> list[tuple[str, Predicate | None, tuple[str, ...]]]:
        """Name, predicate and nested groups of all whose members depend on more than who was put in."""
        groups = [self._groups[name] for name in self._order({})]
        return [
            (each.name, self._expression(each).holds if each.expression else None, each.groups)
            for each in groups
            if each.expression or each.groups
        ]

    @cached_property
    def _sieve(self) -> Sieve:
        groups = [self._groups[name] for name, _, _ in self._used_before_users]
        return Sieve([self._tree(each) if each.expression else None for each in groups])

    def _membership(self, name: str) -> Membership:
        group = self._groups.get(name)
        if group is None:  # an IDC or a set that is newer than this catalogue
            return Membership(name=name, kind=GroupKind.IDC if name.startswith(IDC) else GroupKind.SET, number=0)
        return Membership(name=name, kind=group.kind, number=group.number)

    def _closure(self, names: Iterable[str]) -> set[str]:
        """The groups and all that are nested in them."""
        found: set[str] = set()
        ahead = list(names)
        while ahead:
            name = ahead.pop()
            if name not in found:
                found.add(name)
                ahead += self._groups[name].groups if name in self._groups else ()
        return found

    def _dynamic(self, names: Iterable[str]) -> list[Group]:
        return [self._groups[name] for name in sorted(names) if name in self._stored and not self._is_static(name)]

    def _is_static(self, name: str) -> bool:
        return name in self._stored and not self._stored[name].group.expression

    def read(self, text: str) -> Tree:
        """Raises Invalid."""
        return self._read(text).tree

    def _tree(self, group: Group) -> Tree:
        return self._expression(group).tree

    def _expression(self, group: Group) -> Expression:
        try:
            return self._read(group.expression)
        except Invalid as error:
            raise Invalid(error.reason, f"In the group {group.name}: {error.message}", error.details) from None


def _refuse_large(size: Size, what: str) -> None:
    if size.terms > LARGEST or size.levels > DEEPEST:
        raise Invalid(
            "group.too_large",
            f"{what} and the groups it names make a query of {size.terms} terms and {size.levels} levels;"
            f" {LARGEST} terms and {DEEPEST} levels are the most. Name fewer groups.",
        )


def _by_themselves(document: Document) -> set[str]:
    found = {GLOBAL, IDC + document["idc"]}
    return found | {SET + document["host_set"]} if document.get("host_set") else found
