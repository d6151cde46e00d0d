"""What a value means to an attribute of its kind: a test, or a refusal that says what would be right. Pure."""

import ipaddress
import re

from services.resources.expressions.attributes import CHOICES, NUMBERS, YES_OR_NO, Attribute, Kind
from services.resources.expressions.globs import Glob, Piece, Wildcard, literal
from services.resources.expressions.lexer import Token, refuse
from services.resources.expressions.tree import Compared, Equals, Like, Order, Test, Within
from services.resources.hosts.model import canonical_hostname, canonical_ip, is_ip

LONGEST = 256
"""Characters of a value. No attribute is longer."""
_LARGEST = 2**63 - 1
_NUMBER = re.compile(r"(-?[0-9]{1,19})([A-Za-z]*)")
_UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_BOOLEANS = {"true": True, "false": False}


def as_test(attribute: Attribute, value: Token) -> Test:
    """Raises Invalid."""
    if len(value.text) > LONGEST:
        refuse(value.column, f"the value has more than {LONGEST} characters", "a shorter one")
    kind = attribute.kind
    if kind in NUMBERS:
        return Equals(_number(attribute, value))
    if kind in YES_OR_NO:
        if value.text not in _BOOLEANS:
            refuse(value.column, f"{value.shown} is neither true nor false", "true", "false")
        return Equals(_BOOLEANS[value.text])
    if kind is Kind.ADDRESS:
        return _address(value)
    return _text(attribute, value)


def as_order(attribute: Attribute, operator: Token, value: Token) -> Compared:
    """Raises Invalid."""
    if attribute.kind not in NUMBERS:
        refuse(operator.column, f"{attribute.name} has no order", "=", "!=", '"in"')
    return Compared(Order(operator.text), _number(attribute, value))


def _number(attribute: Attribute, value: Token) -> int:
    """Raises Invalid."""
    example = "a number such as 64GiB" if attribute.kind is Kind.BYTES else "a whole number"
    units = _UNITS if attribute.kind is Kind.BYTES else {"": 1}
    found = _NUMBER.fullmatch(value.text)
    if found is None or found[2] not in units:
        refuse(value.column, f"{value.shown} is no number of {attribute.name}", example)
    number = int(found[1]) * units[found[2]]
    if abs(number) > _LARGEST:
        refuse(value.column, f"{value.shown} is too large", f"at most {_LARGEST}")
    return number


def _text(attribute: Attribute, value: Token) -> Test:
    glob = value.glob
    if attribute.kind is Kind.NAME:
        glob = tuple(piece if isinstance(piece, Wildcard) else canonical_hostname(piece) for piece in glob)
    text = literal(glob)
    choices = CHOICES.get(attribute.kind)
    if choices is not None and text not in choices:
        refuse(value.column, f"{value.shown} is no {attribute.name} of a host", *choices)
    return Like(glob) if text is None else Equals(text)


def _address(value: Token) -> Test:
    text = literal(value.glob)
    if text is None:
        return Like(_lower(value.glob))
    if "/" in text:
        return _network(value, text)
    if not is_ip(text):
        refuse(value.column, f"{value.shown} is no IP address", "an address", "a network such as 10.1.0.0/16", "a glob")
    return Equals(canonical_ip(text))


def _network(value: Token, text: str) -> Within:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        refuse(value.column, f"{value.shown} is no network", "one such as 10.1.0.0/16 or fd00::/8")
    if str(network.network_address) != canonical_ip(text.partition("/")[0]):
        refuse(value.column, f"{value.shown} has bits outside its mask", str(network))
    return Within(network)


def _lower(glob: Glob) -> Glob:
    pieces: list[Piece] = [piece if isinstance(piece, Wildcard) else piece.lower() for piece in glob]
    return tuple(pieces)
