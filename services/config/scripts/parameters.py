"""What a script asks for, and whether that is what it is given. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence

from contracts.errors import Invalid
from contracts.runs import Parameter
from contracts.scripts import DeclaredParameter, ParameterType

_INTEGER = re.compile(r"-?[0-9]{1,18}")
NAMED = 20


def check(declared: Sequence[DeclaredParameter]) -> None:
    """Raise Invalid if no run could fulfil these, or some of it makes no sense."""
    seen: set[str] = set()
    for each in declared:
        if problem := "is declared twice" if each.name in seen else _problem(each):
            raise Invalid("script.bad_parameter", f"The parameter {each.name} {problem}.")
        seen.add(each.name)


def _problem(declared: DeclaredParameter) -> str:
    if (declared.type is ParameterType.CHOICE) != bool(declared.choices):
        return "has choices and is no choice" if declared.choices else "is a choice and has no choices"
    if declared.default is None:
        return ""
    if declared.masked:
        return "is masked, so it cannot have a default, which everybody could read"
    if declared.required:
        return "is required, so its default would never be used"
    misfit = _misfit(declared, declared.default)
    return f"has a default that {misfit}" if misfit else ""


def filled(declared: Sequence[DeclaredParameter], given: Iterable[Parameter]) -> tuple[Parameter, ...]:
    """What the script gets: values checked, defaults where none was given, masked what is declared so.

    Raises Invalid. A value is never repeated: it may be a secret.
    """
    known = {each.name: each for each in declared}
    values: dict[str, Parameter] = {}
    for parameter in given:
        if parameter.name in values:
            raise Invalid("run.duplicate_parameter", f"Two parameters have the name {parameter.name}. Rename one.")
        if parameter.name not in known:
            raise Invalid(
                "run.parameter_unknown", f"The script has no parameter {parameter.name}. It has {_names(known)}."
            )
        if misfit := _misfit(known[parameter.name], parameter.value):
            raise Invalid("run.parameter_misfit", f"The value of {parameter.name} {misfit}.")
        values[parameter.name] = parameter
    return tuple(found for each in declared if (found := _value(each, values)) is not None)


def _value(declared: DeclaredParameter, values: Mapping[str, Parameter]) -> Parameter | None:
    name = declared.name
    if name in values:
        masked = declared.masked or values[name].masked
        return Parameter(name=name, value=values[name].value, masked=masked)
    if declared.required:
        raise Invalid("run.parameter_missing", f"The script needs a value for its parameter {name}.")
    return None if declared.default is None else Parameter(name=name, value=declared.default)


def _misfit(declared: DeclaredParameter, value: str) -> str:
    """Why the value will not do; empty if it will."""
    if declared.type is ParameterType.INTEGER and not _INTEGER.fullmatch(value):
        return "is no whole number of at most 18 digits"
    if declared.type is ParameterType.BOOLEAN and value not in {"true", "false"}:
        return "is neither true nor false"
    if declared.type is ParameterType.CHOICE and value not in declared.choices:
        return f"is none of {', '.join(choice[:40] for choice in declared.choices[:NAMED])}"
    return ""


def _names(known: Iterable[str]) -> str:
    return ", ".join(list(known)[:NAMED]) or "none"
