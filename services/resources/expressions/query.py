"""An expression as a MongoDB query. Pure.

Values stand as operands only, so nothing that somebody writes becomes an operator or a field.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from services.resources.expressions.attributes import Attribute, Kind
from services.resources.expressions.globs import (
    OPTIONS,
    Glob,
    after_all_with,
    is_beginning,
    mongo_pattern,
    prefix,
)
from services.resources.expressions.tree import And, Compared, Equals, Fits, InGroup, Like, Not, Or, Order, Test, Tree
from services.resources.hosts import addresses

Condition = Mapping[str, Any]

_ORDERS = {Order.LESS: "$lt", Order.AT_MOST: "$lte", Order.GREATER: "$gt", Order.AT_LEAST: "$gte"}


def condition(tree: Tree, members: Callable[[InGroup], Condition], *, heard_after: datetime) -> Condition:
    """`members` gives the condition of being in a group; a host that was heard since `heard_after` is online."""

    def build(part: Tree) -> Condition:
        match part:
            case And(parts):
                return {"$and": [build(each) for each in parts]}
            case Or(parts):
                return {"$or": [build(each) for each in parts]}
            case Not(negated):
                return {"$nor": [build(negated)]}
            case InGroup():
                return members(part)
            case Fits():
                return _fits(part, heard_after)

    return build(tree)


def online(is_online: bool, heard_after: datetime) -> Condition:
    heard = {"$gte": heard_after}
    if is_online:
        return {"presence.last_seen": heard, "revoked": False}
    return {"$or": [{"presence.last_seen": {"$not": heard}}, {"revoked": True}]}


def _fits(part: Fits, heard_after: datetime) -> Condition:
    attribute = part.attribute
    values = [test.value for test in part.tests if isinstance(test, Equals)]
    if attribute.kind is Kind.PRESENCE:
        found = [online(bool(value), heard_after) for value in values]
    else:
        found = [_is_one_of(attribute, values)] if values else []
        found += [_passes(attribute, test) for test in part.tests if not isinstance(test, Equals)]
    return found[0] if len(found) == 1 else {"$or": found}


def _is_one_of(attribute: Attribute, values: list[str | int | bool]) -> Condition:
    if _is_dotted(attribute):
        return {"$expr": {"$in": [_value_of(attribute), {"$literal": values}]}}
    return {_path(attribute): {"$in": values}}


def _passes(attribute: Attribute, test: Test) -> Condition:
    match test:
        case Like(glob) if _is_dotted(attribute):
            return {"$expr": {"$regexMatch": {**_pattern(glob), "input": _value_of(attribute)}}}
        case Like(glob):
            operand = _beginning(glob) if is_beginning(glob) else _beginning(glob) | _regex(glob)
            return {_path(attribute): {"$elemMatch": operand} if attribute.many else operand}
        case Compared(order, number):
            return {_path(attribute): {_ORDERS[order]: number}}
        case Equals(value):
            return _is_one_of(attribute, [value])
    first, last = addresses.key_range(test.network)
    return {addresses.FIELD: {"$elemMatch": {"$gte": first, "$lte": last}}}


def _beginning(glob: Glob) -> dict[str, Any]:
    """The range of all texts that begin as the glob does: MongoDB compares a text with texts only."""
    beginning = prefix(glob)
    end = after_all_with(beginning)
    return {"$gte": beginning} | ({"$lt": end} if end is not None else {})


def _regex(glob: Glob) -> dict[str, Any]:
    return {"$regex": mongo_pattern(glob), "$options": OPTIONS}


def _pattern(glob: Glob) -> dict[str, Any]:
    return {"regex": {"$literal": mongo_pattern(glob)}, "options": OPTIONS}


def _path(attribute: Attribute) -> str:
    return ".".join(attribute.path)


def _is_dotted(attribute: Attribute) -> bool:
    """A name with a dot in it would be read as a path."""
    return any("." in each for each in attribute.path)


def _value_of(attribute: Attribute) -> Condition:
    within, name = attribute.path
    return {"$getField": {"field": {"$literal": name}, "input": f"${within}"}}
