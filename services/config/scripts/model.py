"""A script, its versions and how they may move. Pure."""

from collections.abc import Iterable
from datetime import datetime

import msgspec
from msgspec import UNSET

from contracts.agents import MAX_SCRIPT_BYTES
from contracts.errors import Conflict, Invalid
from contracts.scripts import (
    ChangeScript,
    CreateScript,
    Level,
    Lint,
    SaveVersion,
    Script,
    ScriptVersion,
    VersionState,
)
from runtime.signing import sha256

MOST_JSON_BYTES = 600 * 1024
"""Of a text as JSON: the bus carries 900 KiB, and a run carries more than its script."""

MOVES: dict[VersionState, frozenset[VersionState]] = {
    VersionState.DRAFT: frozenset({VersionState.ONLINE, VersionState.RETIRED}),
    VersionState.ONLINE: frozenset({VersionState.RETIRED}),
    VersionState.RETIRED: frozenset({VersionState.ONLINE}),
}
"""A retired version may come back, which is how one goes back to what ran before; no version becomes a draft again."""


def check_text(text: str) -> None:
    """Raise Invalid if the text is too large to travel."""
    size, as_json = len(text.encode()), len(msgspec.json.encode(text))
    if size > MAX_SCRIPT_BYTES or as_json > MOST_JSON_BYTES:
        raise Invalid(
            "script.too_large",
            f"The script has {size} bytes, {as_json} as JSON; {MAX_SCRIPT_BYTES} and {MOST_JSON_BYTES} are the most."
            " Distribute it as a file.",
        )


def first(request: CreateScript, lint: Lint, by: str, at: datetime) -> tuple[Script, ScriptVersion]:
    script = Script(
        name=request.name,
        kind=request.kind,
        owner=by,
        description=request.description,
        tags=ordered(request.tags),
        language=request.language,
        newest=1,
        online=0,
        revision=1,
        changed_by=by,
        changed_at=at,
    )
    version = ScriptVersion(
        number=1,
        state=VersionState.DRAFT,
        language=request.language,
        sha256=sha256(request.text.encode()),
        bytes=len(request.text.encode()),
        parameters=request.parameters,
        lint=lint,
        note=request.note,
        by=by,
        at=at,
    )
    return script, version


def following(newest: ScriptVersion, request: SaveVersion) -> ScriptVersion | None:
    """The draft that the request makes after `newest`, unchecked and by nobody yet; None if it is the same."""
    version = msgspec.structs.replace(
        newest,
        number=newest.number + 1,
        state=VersionState.DRAFT,
        language=newest.language if request.language is UNSET else request.language,
        parameters=newest.parameters if request.parameters is UNSET else request.parameters,
        sha256=sha256(request.text.encode()),
        bytes=len(request.text.encode()),
        note=request.note,
    )
    same = (version.sha256, version.language, version.parameters) == (newest.sha256, newest.language, newest.parameters)
    return None if same else version


def with_version(script: Script, version: ScriptVersion) -> Script:
    after = msgspec.structs.replace(script, newest=version.number, language=version.language)
    return _marked(after, version.by, version.at)


def changed(script: Script, request: ChangeScript, by: str, at: datetime) -> Script:
    """The script after the change; the same object if nothing differs."""
    after = msgspec.structs.replace(
        script,
        description=script.description if request.description is UNSET else request.description,
        tags=script.tags if request.tags is UNSET else ordered(request.tags),
    )
    return script if after == script else _marked(after, by, at)


def moved(script: Script, version: ScriptVersion, to: VersionState, by: str, at: datetime) -> Script:
    """The script once its version has moved; the same object if it is there already. Raises Conflict."""
    if version.state is to:
        return script
    if to not in MOVES[version.state]:
        can = ", ".join(sorted(MOVES[version.state]))
        raise Conflict(
            "script.wrong_state",
            f"Version {version.number} of {script.name} is {version.state}, not to become {to}; it can become {can}.",
        )
    online = version.number if to is VersionState.ONLINE else 0 if script.online == version.number else script.online
    return _marked(msgspec.structs.replace(script, online=online), by, at)


def check_clean(script: Script, version: ScriptVersion, lint: Lint) -> None:
    """Raise Conflict if a checker found errors, and say the first."""
    errors = [finding for finding in lint.findings if finding.level is Level.ERROR]
    if errors:
        first_error = errors[0]
        raise Conflict(
            "script.has_errors",
            f"Version {version.number} of {script.name} has {len(errors)} errors and cannot go online. Line"
            f" {first_error.line}: {first_error.message} ({first_error.code})",
            {"errors": msgspec.to_builtins(errors[:10])},
        )


def ordered(tags: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(tags)))


def _marked(script: Script, by: str, at: datetime) -> Script:
    return msgspec.structs.replace(script, revision=script.revision + 1, changed_by=by, changed_at=at)
