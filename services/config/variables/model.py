"""A document of variables as a scope has it, how versions differ, and how both are shown. Pure."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from msgspec import UNSET

from contracts.errors import Conflict, NotFound
from contracts.variables import Explained as ToldExplained
from contracts.variables import (
    Hidden,
    KeyChange,
    LayerKind,
    ScopeKind,
    ValueOrigin,
    Variables,
    VariablesDiff,
    Warned,
)
from services.config.differences import unified
from services.config.variables.document import Document
from services.config.variables.layers import Explained, Origin
from services.config.variables.values import (
    Path,
    Tree,
    Value,
    flatten,
    leaves,
    masked,
    read,
    scalars,
    unflatten,
    written,
)

LONGEST_TERM = 200
NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Scope:
    """A group or a host that may have variables."""

    kind: ScopeKind
    name: str

    @classmethod
    def of(cls, text: str) -> "Scope":
        kind, _, name = text.partition(":")
        return cls(ScopeKind(kind), name)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True)
class Record:
    """One version. `text` has its secrets masked, `values` has them in the clear."""

    scope: Scope
    revision: int
    text: str
    values: Tree
    why: str = ""
    changed_by: str = ""
    changed_at: datetime = NEVER


def nothing(scope: Scope) -> Record:
    """What a scope has before anything was set."""
    return Record(scope, 0, "", {})


def next_version(before: Record, document: Document, values: Tree, why: str, by: str, at: datetime) -> Record:
    """The version after; the same object if nothing differs."""
    text = document.masked()
    if before.revision and text == before.text and values == before.values:
        return before
    return Record(before.scope, before.revision + 1, text, values, why, by, at)


def none_yet(scope: Scope) -> Conflict:
    """The refusal of whoever looked at a revision of variables that are not there."""
    return Conflict(
        "variables.changed_meanwhile",
        f"{scope} has no variables yet; leave the revision out, or say 0.",
        {"revision": 0},
    )


def no_version(scope: Scope, revision: int) -> NotFound:
    return NotFound("variables.version_unknown", f"{scope} has no revision {revision} of its variables.")


def shown(record: Record, warnings: Iterable[Warned] = ()) -> Variables:
    return Variables(
        scope=str(record.scope),
        revision=record.revision,
        text=record.text,
        flat=flatten(masked(record.values)),
        warnings=tuple(warnings),
        why=record.why,
        changed_by=record.changed_by,
        changed_at=record.changed_at if record.revision else None,
    )


def noted(record: Record) -> dict[str, Value]:
    """What the audit trail keeps of a version: its flattened keys, secrets masked."""
    return {"revision": record.revision, "flat": flatten(masked(record.values))}


def warned(document: Document) -> tuple[Warned, ...]:
    return tuple(Warned(*each) for each in document.warnings)


def diff(before: Record, after: Record) -> VariablesDiff:
    return VariablesDiff(
        revision=after.revision,
        against=before.revision,
        text=unified(
            before.text,
            after.text,
            f"{before.scope} revision {before.revision}",
            f"{after.scope} revision {after.revision}",
        ),
        changes=list(changes(before.values, after.values)),
    )


def changes(before: Tree, after: Tree) -> Iterator[KeyChange]:
    """The flattened keys that differ, in their order, secrets masked."""
    old, new = dict(leaves(before)), dict(leaves(after))
    for path in dict.fromkeys([*old, *new]):
        if same(old, new, path):
            continue
        yield KeyChange(
            key=written(path),
            before=masked(old[path]) if path in old else UNSET,
            after=masked(new[path]) if path in new else UNSET,
        )


def same(old: Mapping[Path, Value], new: Mapping[Path, Value], path: Path) -> bool:
    """Equal in value and in type: 1, 1.0 and true are three values."""
    if path not in old or path not in new:
        return False
    return old[path] == new[path] and list(map(_typed, scalars(old[path]))) == list(map(_typed, scalars(new[path])))


def _typed(found: tuple[object, Value]) -> tuple[object, type]:
    return found[0], type(found[1])


def related(one: Path, other: Path) -> bool:
    """Whether reading one of them reads the other, whole or in part."""
    return all(a == b for a, b in zip(one, other, strict=False))


def only(tree: Tree, keys: Iterable[str]) -> Tree:
    """What lies at or below these flattened keys. A key that is none has nothing below it."""
    asked = [path for path in map(_path, keys) if path]
    return unflatten(
        {written(path): value for path, value in leaves(tree) if any(path[: len(key)] == key for key in asked)}
    )


def _path(key: str) -> Path:
    try:
        return read(key)
    except ValueError:
        return ()


def terms(values: Tree) -> list[str]:
    """What a search finds a document by, in lower case."""
    return sorted({term for path, value in leaves(masked(values)) for term in _terms(path, value)})


def found_in(values: Tree, search: str, at_most: int) -> dict[str, Value]:
    """The flattened keys that a search is about, with their masked values."""
    low = search.lower()
    about = (
        (written(path), value)
        for path, value in leaves(masked(values))
        if any(term.startswith(low) for term in _terms(path, value))
    )
    return dict(itertools.islice(about, at_most))


def _terms(path: Path, value: Value) -> Iterator[str]:
    """Every part of the key with what follows it, and every scalar of the value."""
    for start in range(len(path)):
        yield written(path[start:]).lower()[:LONGEST_TERM]
    for _, each in scalars(value):
        yield str(each).lower()[:LONGEST_TERM]


def origin_told(origin: Origin) -> ValueOrigin:
    scope = {LayerKind.TASK: "", LayerKind.HOST: f"host:{origin.name}"}.get(origin.kind, f"group:{origin.name}")
    return ValueOrigin(kind=origin.kind, scope=scope, number=origin.number, revision=origin.revision)


def explained_told(explained: Explained) -> ToldExplained:
    return ToldExplained(
        value=masked(explained.value),
        origin=origin_told(explained.origin),
        hid=tuple(
            Hidden(key=each.key, value=masked(each.value), origin=origin_told(each.origin)) for each in explained.hid
        ),
        more=explained.more,
    )


def encoded_size(told: object) -> int:
    return len(msgspec.json.encode(told))
