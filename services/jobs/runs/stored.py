"""Asks the config service for a stored script, in the name of whoever starts it."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from contracts import scripts
from contracts.errors import Conflict, Forbidden
from contracts.people import Principal
from contracts.permissions import Scope
from contracts.runs import StartRun, StoredScript
from contracts.scripts import ListScriptVersions, ResolveScript, ScriptRef, VersionState
from runtime.bus import Bus


class Material(NamedTuple):
    request: StartRun
    """With text, language and parameters as they will run."""
    stored: StoredScript | None
    """The very version, if it is a stored one."""
    tags: tuple[str, ...] | None
    """None: it is none."""


async def material(bus: Bus, request: StartRun, by: Principal) -> Material:
    """Raises what config raises: the script is unknown, none of it is online, a parameter does not fit."""
    if request.stored is None:
        return Material(request, None, None)
    asked = ResolveScript(
        name=request.stored.name, version=request.stored.version, principal=by, parameters=request.parameters
    )
    found = await bus.call(scripts.resolve_script, asked)
    filled = msgspec.structs.replace(request, script=found.text, language=found.language, parameters=found.parameters)
    return Material(filled, StoredScript(name=found.name, version=found.version), found.tags)


async def tags_now(bus: Bus, stored: StoredScript | None) -> tuple[str, ...] | None:
    """What decides who may run it again; a draft is like any other text. Raises Conflict if it is retired."""
    if stored is None:
        return None
    asked = ListScriptVersions(name=stored.name, after=stored.version + 1, limit=1)
    [version] = (await bus.call(scripts.list_script_versions, asked)).versions
    if version.state is VersionState.RETIRED:
        raise Conflict(
            "script.retired", f"Version {stored.version} of {stored.name} is retired by now. Start another run."
        )
    if version.state is VersionState.DRAFT:
        return None
    return (await bus.call(scripts.show_script, ScriptRef(name=stored.name))).tags


def admitting(within: Sequence[Scope], tags: Sequence[str] | None) -> tuple[Scope, ...]:
    """The scopes that a script with these tags lies in. One that is bound to tags has no other texts in it.

    Raises Forbidden if there is none.
    """
    found = tuple(s for s in within if s.script_tags is None or not set(s.script_tags).isdisjoint(tags or ()))
    if not found:
        raise Forbidden(
            "run.script_not_stored", "Your role starts stored scripts only. Choose one: see `drover script list`."
        )
    return found
