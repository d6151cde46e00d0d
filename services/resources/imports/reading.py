"""Text → rows, as they stand there. Pure, and slow for large texts: call it in a thread."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import yaml

from contracts.errors import Invalid
from contracts.imports import Format

MOST_ROWS = 200_000
MOST_YAML_CHARACTERS = 2 * 1024 * 1024
_DEEP = 20
_GUARDED = ("'=", "'+", "'-", "'@", "'\t", "'\r")
"""What an export puts a mark before, lest a spreadsheet takes it for a formula."""


class Raw(NamedTuple):
    line: int
    values: Mapping[str, Any]
    problem: str = ""


class _NoAliases(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not taken; write out what they stand for")
        return super().compose_node(parent, index)


def rows(form: Format, text: str) -> list[Raw]:
    """Raises Invalid if the text is not what it is said to be."""
    try:
        found = list(_csv(text)) if form is Format.CSV else list(_records(_list(form, text)))
    except (csv.Error, yaml.YAMLError, msgspec.DecodeError, RecursionError, ValueError) as error:
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
        return msgspec.json.decode(text)
    if len(text) > MOST_YAML_CHARACTERS:
        raise Invalid("import.too_large", "The YAML is larger than 2 MiB. Send it as JSON or CSV.")
    return yaml.load(text, _NoAliases)  # noqa: S506  a safe loader


def _records(found: Any) -> Iterator[Raw]:
    if not isinstance(found, list):
        raise ValueError("a list of objects is wanted")
    for number, record in enumerate(found, start=1):
        if isinstance(record, dict) and all(isinstance(name, str) for name in record):
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
