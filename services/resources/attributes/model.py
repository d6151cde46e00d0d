"""Which values a custom attribute can have. Pure."""

from collections.abc import Mapping

from contracts.errors import Invalid
from contracts.topology import Attribute, AttributeType, DeclareAttribute

Value = str | int | bool

_BOOLEANS = {"true": True, "false": False}
_BOUND = 2**63


def check_declaration(request: DeclareAttribute) -> None:
    """Raises Invalid."""
    if (request.type is AttributeType.CHOICE) != bool(request.choices):
        raise Invalid(
            "attribute.choices", "An attribute of the type choice has one choice at least, every other one has none."
        )


def check(values: Mapping[str, Value], declared: Mapping[str, Attribute]) -> None:
    """Raises Invalid for the first value that is not as declared."""
    for name, value in values.items():
        attribute = declared.get(name)
        if attribute is None:
            known = ", ".join(sorted(declared)) or "none"
            raise Invalid("attribute.undeclared", f"There is no attribute {name}; declared are {known}.")
        if not _fits(attribute, value):
            raise _wrong(attribute, value)


def read(attribute: Attribute, text: str) -> Value:
    """The value that is written so in a file of text. Raises Invalid."""
    value: Value | None = text
    if attribute.type is AttributeType.INTEGER:
        value = int(text) if text.removeprefix("-").isdecimal() and text.isascii() and len(text) <= 20 else None
    elif attribute.type is AttributeType.BOOLEAN:
        value = _BOOLEANS.get(text.lower())
    if value is None or not _fits(attribute, value):
        raise _wrong(attribute, text)
    return value


def _fits(attribute: Attribute, value: Value) -> bool:
    match attribute.type:
        case AttributeType.BOOLEAN:
            return isinstance(value, bool)
        case AttributeType.INTEGER:
            return isinstance(value, int) and not isinstance(value, bool) and -_BOUND <= value < _BOUND
        case AttributeType.CHOICE:
            return value in attribute.choices
    return isinstance(value, str)


def _wrong(attribute: Attribute, value: Value) -> Invalid:
    right = f"one of {', '.join(attribute.choices)}" if attribute.choices else f"of the type {attribute.type}"
    return Invalid("attribute.wrong_type", f"The value {str(value)[:100]!r} of {attribute.name} is not {right}.")
