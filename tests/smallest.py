"""The smallest request of a call, made of its contract, so that a new call is tested before anybody thinks of it."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import inspect

TEXTS = ("word", "long enough", "i-name", "group:word", "U" * 56, "b" * 44, "0" * 64, "0" * 32, "1 * * * *", "{}")
"""Each text of a contract takes one of these; a new pattern that takes none needs another."""


def smallest(kind: type[Any], **given: Any) -> Any:
    """The struct of what is required and of `given`, and nothing else."""
    return msgspec.convert(smallest_fields(kind, given), kind)


def smallest_fields(kind: type[Any], given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    required = {each.name: _value(each.type) for each in described.fields if each.required}
    return {**required, **(given or {})}


def _value(kind: inspect.Type) -> Any:
    return next(make(kind) for described, make in _MAKERS if isinstance(kind, described))


def _text(kind: inspect.StrType) -> str:
    constraint = msgspec.Meta(pattern=kind.pattern, min_length=kind.min_length, max_length=kind.max_length)
    for text in TEXTS:
        try:
            return msgspec.convert(text, Annotated[str, constraint])
        except msgspec.ValidationError:
            continue
    raise AssertionError(f"no text of tests/smallest.py fits {kind}")


def _number(kind: inspect.IntType | inspect.FloatType) -> float:
    lowest = kind.ge if kind.ge is not None else (kind.gt or 0) + 1
    return lowest if kind.le is None else min(lowest, kind.le)


_MAKERS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (inspect.Metadata, lambda kind: _value(kind.type)),
    (inspect.StrType, _text),
    (inspect.StructType, lambda kind: smallest_fields(kind.cls)),
    (inspect.EnumType, lambda kind: next(iter(kind.cls)).value),
    (inspect.UnionType, lambda kind: _value(kind.types[0])),
    ((inspect.VarTupleType, inspect.ListType), lambda kind: [_value(kind.item_type)] * (kind.min_length or 0)),
    ((inspect.IntType, inspect.FloatType), _number),
    (inspect.BoolType, lambda _: False),
    (inspect.DateTimeType, lambda _: "2026-01-01T00:00:00Z"),
    (inspect.Type, lambda _: {}),
)
