"""An expression as a Python predicate over a host's document. Pure.

Of many hosts against many groups this is faster than asking MongoDB for each group. It says of every host what the
query says.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from datetime import datetime
from operator import ge, gt, le, lt
from typing import Any, NamedTuple

from services.resources.expressions.attributes import Attribute, Kind
from services.resources.expressions.globs import python_pattern
from services.resources.expressions.tree import And, Compared, Equals, Fits, InGroup, Like, Not, Or, Order, Tree, Within
from services.resources.hosts import addresses

Document = Mapping[str, Any]


class Around(NamedTuple):
    """What an expression may ask of a host beyond its document."""

    groups: Container[str]
    """Names of the groups that the host is in."""
    heard_after: datetime
    """A host that was heard since then is online."""


Predicate = Callable[[Document, Around], bool]
Reader = Callable[[Document], Iterable[Any]]

_ORDERS: Mapping[Order, Callable[[int, int], bool]] = {
    Order.LESS: lt,
    Order.AT_MOST: le,
    Order.GREATER: gt,
    Order.AT_LEAST: ge,
}


def predicate(tree: Tree) -> Predicate:
    match tree:
        case And(parts):
            return _all([predicate(each) for each in parts])
        case Or(parts):
            return _any([predicate(each) for each in parts])
        case Not(part):
            negated = predicate(part)
            return lambda document, around: not negated(document, around)
        case InGroup(name):
            return lambda _, around: name in around.groups
        case Fits():
            return _fits(tree)


def _all(parts: list[Predicate]) -> Predicate:
    if len(parts) == 2:  # most are, and of a thousand hosts against hundreds of groups a generator costs more than both
        first, second = parts
        return lambda document, around: first(document, around) and second(document, around)
    return lambda document, around: all(part(document, around) for part in parts)


def _any(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    return lambda document, around: any(part(document, around) for part in parts)


def _fits(part: Fits) -> Predicate:
    attribute, others = part.attribute, [test for test in part.tests if not isinstance(test, Equals)]
    values = [test.value for test in part.tests if isinstance(test, Equals)]
    if attribute.kind is Kind.PRESENCE:
        return lambda document, around: _is_online(document, around.heard_after) in values
    read = reader(attribute)
    checks = [_check(attribute, test) for test in others]
    if values and all(isinstance(value, str) for value in values):
        checks.append(_is_one_of_texts(attribute, frozenset(values)))
    elif values:
        wanted = {_typed(value) for value in values}
        checks.append(lambda document, _: any(_typed(value) in wanted for value in read(document)))
    return _any(checks)


def _is_one_of_texts(attribute: Attribute, wanted: frozenset[object]) -> Predicate:
    first, *rest = attribute.path
    if attribute.many:
        return lambda document, _: not wanted.isdisjoint(document.get(first) or ())
    if not rest:
        return lambda document, _: document.get(first) in wanted
    second = rest[0]
    return lambda document, _: (document.get(first) or {}).get(second) in wanted


def _typed(value: object) -> tuple[bool, object]:
    """To Python `True == 1`; to MongoDB it does not."""
    return isinstance(value, bool), value


def reader(attribute: Attribute) -> Reader:
    """The values that a document has of it; None stands for one that is missing, and no test passes it."""
    first, *rest = attribute.path
    if attribute.many:
        return lambda document: document.get(first) or ()
    if not rest:
        return lambda document: (document.get(first),)
    second = rest[0]
    return lambda document: ((document.get(first) or {}).get(second),)


def _check(attribute: Attribute, test: Like | Within | Compared) -> Predicate:
    match test:
        case Like(glob):
            found = python_pattern(glob).match
            return _any_value(attribute, lambda value: isinstance(value, str) and found(value) is not None)
        case Compared(order, number):
            holds = _ORDERS[order]
            return _any_value(attribute, lambda value: _is_number(value) and holds(value, number))
        case Within(network):
            first, last = addresses.key_range(network)
            return _has_key_between(first, last)


def _any_value(attribute: Attribute, fits: Callable[[Any], bool]) -> Predicate:
    """Of an attribute with one value no loop is made: this runs for every host and most groups."""
    if attribute.many:
        read = reader(attribute)
        return lambda document, _: any(map(fits, read(document)))
    first, *rest = attribute.path
    if not rest:
        return lambda document, _: fits(document.get(first))
    second = rest[0]
    return lambda document, _: fits((document.get(first) or {}).get(second))


def _has_key_between(first: str, last: str) -> Predicate:
    def holds(document: Document, _: Around) -> bool:
        for key in document.get(addresses.FIELD) or ():  # noqa: SIM110  a generator costs more than the few keys
            if first <= key <= last:
                return True
        return False

    return holds


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_online(document: Document, heard_after: datetime) -> bool:
    heard = (document.get("presence") or {}).get("last_seen")
    return heard is not None and heard >= heard_after and not document.get("revoked", False)
