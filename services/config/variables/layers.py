"""Which value wins, and why. Pure.

Every document of a host is a layer. Layers lie upon each other by precedence:

    global < idc < set < custom < host < task

Among groups of one kind the larger number wins, and of equal numbers the name that sorts later. Mappings merge key by
key. Everything else, lists too, replaces what lies below; so does a mapping over a value that is none, and a value over
a mapping. null is a value. An empty mapping over a mapping changes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import NamedTuple

from contracts.variables import LayerKind
from services.config.variables.values import Path, Tree, Value, is_leaf, leaves, written

MOST_HIDDEN = 20

_RANK = {kind: rank for rank, kind in enumerate(LayerKind)}


class Origin(NamedTuple):
    """Where a value comes from: a group or host by its name, with the revision of its document, or a task."""

    kind: LayerKind
    name: str = ""
    number: int = 0
    revision: int = 0


class Layer(NamedTuple):
    origin: Origin
    values: Tree


class Hidden(NamedTuple):
    """A value that lies below another. Its key differs where a value hides a mapping or the reverse."""

    key: str
    value: Value
    origin: Origin


class Explained(NamedTuple):
    value: Value
    origin: Origin
    hid: tuple[Hidden, ...]
    """The nearest first."""
    more: int = 0
    """Further values that it hid and that are not listed."""


class Whole(dict[str, Value]):
    """A mapping that replaced a value which was none, so that it hides mappings further below as the value did.

    Without it, merging the upper layers first would let such a mapping shine through, and merging would not be
    associative.
    """


def ordered(layers: Iterable[Layer]) -> list[Layer]:
    """By precedence, the lowest first."""
    return sorted(layers, key=lambda layer: _precedence(layer.origin))


def _precedence(origin: Origin) -> tuple[int, int, str]:
    return _RANK[origin.kind], origin.number, origin.name


def merged(layers: Iterable[Mapping[str, Value]]) -> Tree:
    """The effective values of layers, the lowest first. Neither they nor their parts are changed."""
    return reduce(merge, layers, {})


def merge(low: Value, high: Value) -> Value:
    """Associative: which neighbours are merged first makes no difference."""
    if not isinstance(high, dict) or isinstance(high, Whole):
        return high
    if not isinstance(low, dict):
        return Whole(high)
    made = type(low)(low)
    for key, value in high.items():
        made[key] = merge(low[key], value) if key in low else value
    return made


def explain(layers: Sequence[Layer], most_hidden: int = MOST_HIDDEN) -> dict[str, Explained]:
    """Flattened key → what it is, where from, and what it hid, of layers given the lowest first."""
    found: dict[str, Explained] = {}
    _explain((), [(layer.origin, layer.values) for layer in layers], _Below((), 0, most_hidden), found)
    return found


class _Below(NamedTuple):
    """What is hidden further up the path already. The list is bounded: it belongs to every key further down."""

    hid: tuple[Hidden, ...]
    more: int
    most: int

    def under(self, hidden: tuple[Hidden, ...]) -> "_Below":
        listed = hidden + self.hid
        return _Below(listed[: self.most], self.more + len(listed[self.most :]), self.most)


def _explain(at: Path, entries: Sequence[tuple[Origin, Value]], below: _Below, found: dict[str, Explained]) -> None:
    """`entries` are what the layers say at this path."""
    cut = max((n for n, (_, value) in enumerate(entries) if not isinstance(value, dict)), default=-1)
    # A value on top hides all others; below mappings, the highest value hides itself and what lies under it.
    below = below.under(_hidden(at, entries[:-1] if cut == len(entries) - 1 else entries[: cut + 1]))
    mappings = entries[cut + 1 :]
    keys = dict.fromkeys(key for _, value in mappings for key in value)
    if not keys and at:
        origin, value = entries[-1]
        found[written(at)] = Explained(value, origin, below.hid, below.more)
    for key in keys:
        _explain((*at, key), [(origin, value[key]) for origin, value in mappings if key in value], below, found)


def _hidden(at: Path, entries: Sequence[tuple[Origin, Value]]) -> tuple[Hidden, ...]:
    """Everything that these say at or below the path, the nearest first. Empty mappings say nothing."""
    hidden = []
    for origin, value in reversed(entries):
        parts = [((), value)] if is_leaf(value) else leaves(value)
        hidden += [Hidden(written((*at, *path)), leaf, origin) for path, leaf in parts if leaf != {}]
    return tuple(hidden)
