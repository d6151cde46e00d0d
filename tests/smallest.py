"""The smallest request of a call, made of its contract, so that a new call is tested before anybody thinks of it."""

from collections.abc import Mapping
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
    match kind:
        case inspect.StrType():
            return _text(kind)
        case inspect.StructType():
            return smallest_fields(kind.cls)
        case inspect.EnumType():
            return next(iter(kind.cls)).value
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.UnionType():
            return _value(kind.types[0])
        case inspect.VarTupleType() | inspect.ListType():
            return [_value(kind.item_type)] * (kind.min_length or 0)
        case inspect.DictType():
            return {}
        case inspect.BoolType():
            return False
        case inspect.IntType() | inspect.FloatType():
            return next(each for each in (0, kind.ge, kind.gt and kind.gt + 1, 1) if _fits(each, kind))
        case inspect.DateTimeType():
            return "2026-01-01T00:00:00Z"
        case _:
            return {}


def _text(kind: inspect.StrType) -> str:
    constraint = msgspec.Meta(pattern=kind.pattern, min_length=kind.min_length, max_length=kind.max_length)
    for text in TEXTS:
        try:
            return msgspec.convert(text, Annotated[str, constraint])
        except msgspec.ValidationError:
            continue
    raise AssertionError(f"no text of tests/smallest.py fits {kind}")


def _fits(number: float | None, kind: inspect.IntType | inspect.FloatType) -> bool:
    return (
        number is not None
        and (kind.ge is None or number >= kind.ge)
        and (kind.gt is None or number > kind.gt)
        and (kind.le is None or number <= kind.le)
    )
