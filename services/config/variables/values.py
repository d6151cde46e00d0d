"""Trees of values: secret ones, paths, flattened keys. Pure.

A tree is what JSON can say, and secrets. Mappings have text as keys; lists and scalars are leaves, and so is an empty
mapping. A flattened key is the path with dots between; a part that is no plain word stands in quotes, as in
`limits."nginx.conf"`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.runs import MASK

Value = Any
Tree = dict[str, Value]
Path = tuple[str, ...]
Place = tuple[str | int, ...]
"""Like a path, and into lists by index."""

_PLAIN = re.compile(r"[^\s.\"\\\x00-\x1f]+")
_PART = re.compile(r'"(?:[^"\\]|\\.)*"|[^.\"]+')


@dataclass(frozen=True)
class Secret:
    """A text that is shown to nobody; only rendering and the jobs service may reveal it."""

    text: str

    def __repr__(self) -> str:
        return MASK


def is_leaf(value: Value) -> bool:
    return not isinstance(value, dict) or not value


def masked(value: Value) -> Value:
    """The same with every secret as MASK: what may leave the service."""
    return _with_secrets(value, lambda _: MASK)


def revealed(value: Value) -> Value:
    """The same with every secret in the clear."""
    return _with_secrets(value, lambda secret: secret.text)


def scalars(value: Value, at: Place = ()) -> Iterator[tuple[Place, Value]]:
    """Every scalar with its place; items of lists by their index."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from scalars(each, (*at, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from scalars(each, (*at, index))
    else:
        yield at, value


def leaves(tree: Mapping[str, Value], at: Path = ()) -> Iterator[tuple[Path, Value]]:
    for key, value in tree.items():
        if is_leaf(value):
            yield (*at, key), value
        else:
            yield from leaves(value, (*at, key))


def flatten(tree: Mapping[str, Value]) -> dict[str, Value]:
    """Flattened key → leaf, in the order of the tree."""
    return {written(path): value for path, value in leaves(tree)}


def unflatten(flat: Mapping[str, Value]) -> Tree:
    """The tree that flattens to this. Raises ValueError if a key has bad quotes or clashes with another."""
    tree: Tree = {}
    for key, value in flat.items():
        *way, last = read(key)
        inside = tree
        for part in way:
            inside = inside.setdefault(part, {})
            if not isinstance(inside, dict):
                raise ValueError(f"{key} lies below a value")
        if last in inside:
            raise ValueError(f"{key} is given twice")
        inside[last] = value
    return tree


def written(path: Path) -> str:
    return ".".join(part if _PLAIN.fullmatch(part) else json.dumps(part, ensure_ascii=False) for part in path)


def read(key: str) -> Path:
    """The path of a flattened key. Raises ValueError."""
    parts: list[str] = []
    end = 0
    while True:
        found = _PART.match(key, end)
        if found is None:
            raise ValueError(f"{key[:100]!r} is not a flattened key")
        parts.append(json.loads(found[0], strict=False) if found[0][0] == '"' else found[0])
        end = found.end()
        if end == len(key):
            return tuple(parts)
        if key[end] != ".":
            raise ValueError(f"{key[:100]!r} is not a flattened key")
        end += 1


def _with_secrets(value: Value, shown: Callable[[Secret], str]) -> Value:
    if isinstance(value, Secret):
        return shown(value)
    if isinstance(value, dict):
        return {key: _with_secrets(each, shown) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_secrets(each, shown) for each in value]
    return value
