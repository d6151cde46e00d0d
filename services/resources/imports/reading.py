"""Text → rows, as they stand there. Pure, and slow for large texts: call it in a thread."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from contracts.errors import Invalid
from contracts.imports import Format

MOST_ROWS = 200_000
MOST_YAML_CHARACTERS = 2 * 1024 * 1024
_DEEP = 20
_GUARDED = ("'=", "'+", "'-", "'@", "'\t", "'\r")
"""What an export puts a mark before, lest a spreadsheet takes it for a formula."""


_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})


class Raw(NamedTuple):
    line: int
    values: Mapping[str, Any]
    problem: str = ""


class Twice(dict[str, Any]):
    """An object that has a name twice, so that nobody can say what it means; `name` says which, and where if known."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Text(yaml.BaseLoader):
    """Every scalar is the text that stands there, or nothing: 0755 is a name like any other, and so is `no`."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="write out what the alias stands for", problem_mark=mark)
        if event.tag is not None:
            raise yaml.MarkedYAMLError(problem=f"no tag such as {event.tag!r} is taken", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_scalar(self, node: Any) -> Any:
        nothing = not node.style and node.value in _NOTHING
        return None if nothing else super().construct_scalar(node)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        named: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in named:
                return Twice(f"{key.value[:100]!r} (line {key.start_mark.line + 1})")
            named.add(key.value)
        return super().construct_mapping(node, deep)


def rows(form: Format, text: str) -> list[Raw]:
    """Raises Invalid if the text is not what it is said to be."""
    try:
        found = list(_csv(text)) if form is Format.CSV else list(_records(_list(form, text)))
    except (csv.Error, yaml.YAMLError, RecursionError, ValueError) as error:
        raise Invalid("import.malformed", f"That is no {form}: {' '.join(str(error).split())[:300]}") from None
    if len(found) > MOST_ROWS:
        raise Invalid("import.too_large", f"More than {MOST_ROWS} rows. Split the import by source.")
    return found


def _csv(text: str) -> Iterator[Raw]:
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    header = [each.strip() for each in next(reader, [])]
    twice = [name for name, count in Counter(header).items() if count > 1 or not name]
    if not header or twice:
        raise ValueError(f"the first line must name each column once; {twice[0]!r} does not" if twice else "no columns")
    for cells in reader:
        if not cells:
            continue
        problem = "" if len(cells) == len(header) else f"{len(cells)} cells where the first line has {len(header)}"
        yield Raw(reader.line_num, dict(zip(header, map(_unguarded, cells), strict=False)), problem)


def _unguarded(cell: str) -> str:
    cell = cell.strip()
    return cell[1:] if cell.startswith(_GUARDED) else cell


def _list(form: Format, text: str) -> Any:
    if form is Format.JSON:
        return from_json(text)
    if len(text) > MOST_YAML_CHARACTERS:
        raise Invalid("import.too_large", "The YAML is larger than 2 MiB. Send it as JSON or CSV.")
    return yaml.load(text, _Text)  # noqa: S506  it makes lists, mappings and text


def from_json(text: str) -> Any:
    """With Twice for objects that have a name twice. Raises ValueError or RecursionError."""
    return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    [(name, _), *_] = Counter(name for name, _ in pairs).most_common(1)
    return Twice(repr(name[:100]))


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def twice(value: Any) -> str:
    """The name that stands twice in an object in here, or nothing."""
    if isinstance(value, Twice):
        return value.name
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next(filter(None, map(twice, inner)), "")


def _records(found: Any) -> Iterator[Raw]:
    if not isinstance(found, list):
        raise ValueError("a list of objects is wanted")
    for number, record in enumerate(found, start=1):
        if name := twice(record):
            yield Raw(number, {}, f"it has the name {name} twice")
        elif isinstance(record, dict) and all(isinstance(name, str) for name in record):
            yield Raw(number, record)
        else:
            yield Raw(number, {}, "it is no object with names")


def flat(record: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    """The record with what stands at these paths, under the paths as names."""
    return {**record, **{path: value for path in paths if (value := at(record, path)) is not None}}


def at(value: Any, path: str) -> Any:
    """What stands at names joined by dots; None if there is nothing."""
    for name in path.split(".")[:_DEEP] if path else ():
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
