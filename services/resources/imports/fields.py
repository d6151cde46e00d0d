"""A row as it stands → values of a host's fields. Pure."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from contracts.errors import Invalid
from contracts.hosts import HostClass, HostState, Tag
from contracts.imports import Rules
from contracts.topology import Attribute
from services.resources.attributes import model as attributes
from services.resources.hosts.model import canonical_hostname, canonical_ip, is_ip, ordered
from services.resources.imports.reading import Raw, at

NAMES = {"set": "host_set", "class": "host_class"}
"""Fields that rows call otherwise than hosts."""
_LISTS = frozenset({"ips", "tags"})
_NEVER_EMPTY = frozenset({"state", "class", "idc", "hostname", "ips"})
"""An empty cell says nothing of these; of other fields it says that there is nothing."""
_SEPARATORS = re.compile(r"[;,\s]+")
_HOSTNAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MOST = {"ips": 64, "tags": 64}
_TEXT = 200


def check_columns(columns: Collection[str], rules: Rules) -> None:
    """Raises Invalid for a column that is no field and not mapped to one."""
    unknown = sorted(name for name in columns if name not in rules.columns and not _is_field(name))
    if unknown:
        hint = " Columns are separated by commas, not by semicolons." if len(columns) == 1 and ";" in unknown[0] else ""
        raise Invalid(
            "import.unknown_column",
            f"No field of hosts is called {', '.join(unknown)[:300]}. Map them to fields, or to nothing.{hint}",
        )


def values(raw: Raw, rules: Rules, declared: Mapping[str, Attribute]) -> dict[str, Any]:
    """Field → value, of the fields that the row brings; labels and attributes are those named. Raises Invalid."""
    if raw.problem:
        raise _bad(raw.problem)
    found: dict[str, Any] = {}
    for field, value in _named(raw.values, rules).items():
        name, _, key = field.partition(".")
        if key:
            found.setdefault(name, {})[key] = _inner(name, key, value, declared)
        else:
            found[NAMES.get(name, name)] = _outer(name, value)
    return found


def _named(row: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """The row's values by our fields, with the defaults where it says nothing."""
    fields: dict[str, Any] = dict(rules.defaults)
    for column, value in row.items():
        field = rules.columns.get(column, column)
        if field and column not in rules.columns and not _is_field(field):
            continue  # of JSON, whose records may have more than is asked for
        if field and (value not in (None, "") or not (field in rules.defaults or field in _NEVER_EMPTY)):
            fields[field] = value
    for path, field in rules.columns.items():
        if field and path not in row and (value := at(row, path)) is not None:
            fields[field] = value
    return fields


def _is_field(name: str) -> bool:
    outer, dot, key = name.partition(".")
    return outer in _READERS if not dot else outer in {"labels", "attributes"} and bool(key)


def _outer(name: str, value: Any) -> Any:
    if name in _LISTS:
        return _READERS[name](_words(name, value))
    return _READERS[name](_text(name, value))


def _inner(name: str, key: str, value: Any, declared: Mapping[str, Attribute]) -> Any:
    """None: the host shall not have it."""
    if value in (None, ""):
        return None
    if name == "labels":
        _fits(key, Tag, "the name of a label")
        return _text(f"labels.{key}", value)
    attribute = declared.get(key)
    if attribute is None:
        attributes.check({key: ""}, declared)  # raises
        raise AssertionError("an undeclared attribute is refused")
    if isinstance(value, str):
        return attributes.read(attribute, value)
    attributes.check({key: value if isinstance(value, int) else str(value)}, declared)
    return value


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise _bad(f"{name} is no text")
    text = str(value if value is not None else "").strip()
    if len(text) > _TEXT and name != "hostname":
        raise _bad(f"{name} has more than {_TEXT} characters")
    if _CONTROL.search(text):
        raise _bad(f"{name} has control characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _bad(f"{name} is no text in Unicode") from None
    return text


def _words(name: str, value: Any) -> list[str]:
    if isinstance(value, list):
        words = [_text(name, each) for each in value]
    else:
        words = _SEPARATORS.split(str(value if value is not None else "").strip())
    found = [word for word in words if word]
    if len(found) > _MOST[name]:
        raise _bad(f"more than {_MOST[name]} {name}")
    return found


def _ips(words: list[str]) -> tuple[str, ...]:
    for word in words:
        if not is_ip(word):
            raise _bad(f"{word[:60]!r} is no IP address")
    return tuple(dict.fromkeys(map(canonical_ip, words)))


def _tags(words: list[str]) -> tuple[str, ...]:
    for word in words:
        _fits(word, Tag, "a tag")
    return ordered(tuple(words))


def _hostname(text: str) -> str:
    if text and not _HOSTNAME.fullmatch(text):
        raise _bad(f"{text[:60]!r} is no host name")
    return canonical_hostname(text)


def _state(text: str) -> HostState:
    if text not in set(HostState):
        raise _bad(f"{text[:60]!r} is no state; states are {', '.join(HostState)}")
    return HostState(text)


def _class(text: str) -> HostClass:
    if text not in set(HostClass):
        raise _bad(f"{text[:60]!r} is no class; classes are {', '.join(HostClass)}")
    return HostClass(text)


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "hostname": _hostname,
    "ips": _ips,
    "state": _state,
    "class": _class,
    "tags": _tags,
    **dict.fromkeys(("idc", "room", "rack", "set", "business", "product_line", "serial", "asset_id"), str),
}


def _fits(value: str, kind: Any, what: str) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise _bad(f"{value[:60]!r} is not {what}") from None


def _bad(why: str) -> Invalid:
    return Invalid("import.bad_row", f"The row cannot be taken: {why}.")
