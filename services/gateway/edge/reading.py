"""From the text of a request to its struct, strictly.

The bus ignores what it does not know, so that old and new versions live together. People misspell: here an unknown
field, a key given twice or a value of another type is refused. Pure; raises Invalid and NotFound only.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import inspect

from contracts.errors import Invalid, NotFound

Q = TypeVar("Q")

MAX_DEPTH = 32
_LARGEST = 2**63 - 1
"""What BSON and most other languages hold."""
_INT = re.compile(r"-?[0-9]{1,19}")
_BOOLEANS = {"true": True, "false": False}


def body(data: bytes, named: Mapping[str, Any], filled: Mapping[str, str], kind: type[Q]) -> Q:
    """The struct out of a body. `named` stands in the address already, `filled` may stand in the body as well."""
    given = parse(data)
    if not isinstance(given, dict):
        raise Invalid("bus.malformed", "The request does not fit: the body must be an object.")
    for name, value in filled.items():
        if given.get(name, value) != value:
            raise Invalid("bus.malformed", f"The header and the body do not say the same of {name}.")
    return together({**given, **filled}, named, kind)


def together(given: Mapping[str, Any], named: Mapping[str, Any], kind: type[Q]) -> Q:
    """The struct out of what the address names and what else is given."""
    if clash := named.keys() & given.keys():
        raise Invalid("http.unknown_field", f"The address says {min(clash)} already.", {"field": f"$.{min(clash)}"})
    return fit({**given, **named}, kind)


def parse(body: bytes) -> Any:
    """The JSON value of a body. Raises Invalid for whatever is not JSON, or ambiguous, or dangerous to keep."""
    try:
        value = _DECODER.decode(body.decode())
    except RecursionError:
        raise _too_deep() from None
    except UnicodeDecodeError:
        raise Invalid("http.malformed_json", "The body is not JSON: not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise Invalid("http.malformed_json", f"The body is not JSON at character {error.pos}.") from None
    except ValueError:  # more digits than Python makes a number of
        raise Invalid("bus.malformed", "A number of the body does not fit in 64 bits.") from None
    return value


def fit(values: Mapping[str, Any], kind: type[Q]) -> Q:
    """Make the struct; every key must have a place in it."""
    _check(values, "$", 0)
    try:
        made = msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise Invalid("bus.malformed", f"The request does not fit: {error}.") from None
    for path in _lost(values, msgspec.to_builtins(made), "$"):
        raise Invalid("http.unknown_field", f"This call knows no field {path[:200]}.", {"field": path[:200]})
    return made


def path(given: Mapping[str, str], kind: type[Any]) -> dict[str, Any]:
    """Values of a path, numbers in their one spelling. One that cannot name anything names nothing: NotFound."""
    types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    named: dict[str, Any] = {}
    for name, text in given.items():
        try:
            _check(text, f"$.{name}", 0)
            named[name] = msgspec.convert(text, types[name], strict=False)
        except (Invalid, msgspec.ValidationError):
            named[name] = None
        if str(named[name]) != text:
            raise NotFound("http.not_found", f"Nothing can have the {name} that this address names.")
    return named


def check_query(raw: str) -> None:
    """Refuse what aiohttp would silently put another character for. `raw` is the query as it came."""
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeError:
        raise Invalid("http.malformed", "The query is not UTF-8.") from None


class _Shape(NamedTuple):
    many: bool
    leaves: frozenset[type]


_TEXT = _Shape(False, frozenset({inspect.StrType}))
_SIMPLE = (inspect.StrType, inspect.BoolType, inspect.IntType, inspect.EnumType, inspect.NoneType, inspect.DateTimeType)


class Query:
    """Reads query strings by what the fields of one struct hold; a list is its key repeated."""

    def __init__(self, kind: type[Any]) -> None:
        """Raises TypeError if a query string cannot carry some field of `kind`."""
        described = inspect.type_info(kind)
        fields = described.fields if isinstance(described, inspect.StructType) else ()
        self._shapes = {field.name: _shape(field) for field in fields}

    def read(self, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
        values = dict[str, Any]()
        for name, text in pairs:
            shape = self._shapes.get(name, _TEXT)
            value = _scalar(text, shape)
            if shape.many:
                values.setdefault(name, []).append(value)
            elif name in values:
                raise Invalid("http.duplicate_key", f"The query names {ascii(name)[:100]} twice, it takes one value.")
            else:
                values[name] = value
        return values


def _shape(field: inspect.Field) -> _Shape:
    many = isinstance(field.type, inspect.VarTupleType | inspect.ListType)
    held = field.type.item_type if isinstance(field.type, inspect.VarTupleType | inspect.ListType) else field.type
    leaves = held.types if isinstance(held, inspect.UnionType) else (held,)
    if not all(isinstance(each, _SIMPLE) for each in leaves):
        raise TypeError(f"a query string cannot carry the field {field.name}")
    return _Shape(many, frozenset(type(each) for each in leaves))


def _scalar(text: str, shape: _Shape) -> Any:
    if inspect.BoolType in shape.leaves:
        return _BOOLEANS.get(text, text)
    if inspect.IntType in shape.leaves and _INT.fullmatch(text):
        return int(text)
    return text


def _check(value: Any, at: str, depth: int) -> None:
    """Refuse what JSON can say and a database or another language cannot hold."""
    if depth > MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, str):
        _check_text(value, at)
    elif isinstance(value, dict):
        for key, each in value.items():
            _check_text(key, f"{at} (a key)")
            _check(each, f"{at}.{key}", depth + 1)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            _check(each, f"{at}[{index}]", depth + 1)
    elif isinstance(value, int | float) and not -_LARGEST - 1 <= value <= _LARGEST:
        raise Invalid("bus.malformed", f"The number at {ascii(at)[:200]} does not fit in 64 bits.")


def _check_text(text: str, at: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid("bus.malformed", f"The text at {ascii(at)[:200]} has half of a surrogate pair.") from None
    if "\0" in text:
        raise Invalid("bus.malformed", f"The text at {ascii(at)[:200]} has a NUL.")


def _lost(given: Any, kept: Any, at: str) -> Iterator[str]:
    """What did not come back from the struct was no field of it."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            if key in kept:
                yield from _lost(value, kept[key], f"{at}.{key}")
            else:
                yield f"{at}.{key}"
    elif isinstance(given, list) and isinstance(kept, list | tuple):
        for index, (one, other) in enumerate(zip(given, kept, strict=False)):
            yield from _lost(one, other, f"{at}[{index}]")


def _too_deep() -> Invalid:
    return Invalid("http.too_deep", f"The body is nested more than {MAX_DEPTH} levels deep.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Invalid("http.duplicate_key", f"An object has the key {ascii(twice)[:100]} twice.")
    return made


def _constant(name: str) -> Any:
    raise Invalid("http.malformed_json", f"{name} is not JSON.")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
