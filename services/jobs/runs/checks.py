"""What is refused before anything is started, beyond what the types of the contract already refuse. Pure."""

import re
from collections.abc import Mapping

import msgspec

from contracts.agents import MAX_SCRIPT_BYTES, MAX_SEALED_BYTES, REFUSED_VARIABLES
from contracts.errors import Invalid
from contracts.runs import Run, StartRun

MOST_ARGUMENT_BYTES = 128 * 1024
"""Arguments, environment and parameters together; every host keeps them with its task."""

MOST_RUN_BYTES = 680 * 1024
"""A run as JSON. It travels in replies of the bus, which carry 900 KiB, and its actions are still to come."""

BOX_OVERHEAD = 48
_REFUSED_VARIABLE = re.compile(REFUSED_VARIABLES)


def check(request: StartRun) -> None:
    """Raise Invalid, with the reason, if the run can never be started as written."""
    if bool(request.script) == (request.stored is not None):
        raise Invalid("run.one_script", "Give either the text of a script or the name of a stored one.")
    _environment(request)
    _parameters(request)


def check_content(request: StartRun) -> None:
    """The same of what a stored script brings along as of what was written out."""
    _script(request)
    _sizes(request)


def check_travels(run: Run) -> None:
    """Raise Invalid if the run as a reply would not fit the bus, whatever makes it so large once it is JSON."""
    size = len(msgspec.json.encode(run))
    if size > MOST_RUN_BYTES:
        raise Invalid(
            "run.script_too_large",
            f"The run is {size} bytes once it is JSON, more than the {MOST_RUN_BYTES} that travel in one message. "
            "Distribute the script as a file, or choose the targets by what they have in common.",
        )


def _script(request: StartRun) -> None:
    size = len(request.script.encode())
    if size > MAX_SCRIPT_BYTES:
        raise Invalid(
            "run.script_too_large",
            f"The script has {size} bytes; {MAX_SCRIPT_BYTES} are the most. Distribute it as a file.",
        )


def _environment(request: StartRun) -> None:
    for name in request.env:
        if _REFUSED_VARIABLE.fullmatch(name):
            raise Invalid(
                "run.refused_variable",
                f"The variable {name} changes how programs are loaded or belongs to Drover, so a run may not set it.",
            )


def _parameters(request: StartRun) -> None:
    names = [parameter.name for parameter in request.parameters]
    for name in names:
        if names.count(name) > 1:
            raise Invalid("run.duplicate_parameter", f"Two parameters have the name {name}. Rename one of them.")


def _sizes(request: StartRun) -> None:
    words = [*request.args, *request.env, *request.env.values()]
    words += [text for parameter in request.parameters for text in (parameter.name, parameter.value)]
    size = sum(len(word.encode()) for word in words)
    if size > MOST_ARGUMENT_BYTES:
        raise Invalid(
            "run.arguments_too_large",
            f"Arguments, environment and parameters have {size} bytes together; {MOST_ARGUMENT_BYTES} are the most.",
        )
    masked = {parameter.name: parameter.value for parameter in request.parameters if parameter.masked}
    sealed = sealed_size(masked)
    if sealed > MAX_SEALED_BYTES:
        raise Invalid(
            "run.arguments_too_large",
            f"The masked parameters have {sealed} bytes once they are sealed; {MAX_SEALED_BYTES} are the most.",
        )


def sealed_size(values: Mapping[str, str]) -> int:
    """Bytes of base64 around the box around the JSON."""
    return (len(msgspec.json.encode(values)) + BOX_OVERHEAD) * 4 // 3 + 4


NAMES_LISTED = 20


def listed(names: tuple[str, ...]) -> str:
    """For a sentence: the first names, and how many more there are."""
    clean = [re.sub(r"[^\x20-\x7e]", "?", name)[:80] for name in names[:NAMES_LISTED]]
    more = f" and {len(names) - NAMES_LISTED} more" if len(names) > NAMES_LISTED else ""
    return ", ".join(clean) + more
