"""Who may see a script, write it, vet it, run it. Pure."""

from collections.abc import Collection, Sequence

from contracts.errors import Conflict, Forbidden, NotFound
from contracts.people import Principal
from contracts.permissions import Scope
from contracts.scripts import Script, ScriptKind, ScriptVersion, VersionState
from runtime.authorize import scopes

READ, CHANGE, VET, START = "scripts:read", "scripts:change", "scripts:vet", "runs:start"


def bound(within: Sequence[Scope]) -> frozenset[str] | None:
    """The tags of which a script must have one; None: it need have none."""
    if any(scope.script_tags is None for scope in within):
        return None
    return frozenset(tag for scope in within for tag in scope.script_tags or ())


def within(by: Principal, permission: str, script: Script) -> bool:
    """Whether the script lies where the principal has the permission."""
    granted = scopes(by, permission)
    if not granted:
        return False
    tags = bound(granted)
    return tags is None or not tags.isdisjoint(script.tags)


def check_seen(script: Script | None, name: str, by: Principal, permission: str = READ) -> Script:
    """The script, if the principal may know of it. Raises NotFound."""
    if script is None or not within(by, permission, script):
        raise NotFound("script.unknown", f"There is no script {name}.")
    return script


def may_write(script: Script, by: Principal) -> bool:
    """Whoever vets writes every script; the owner of a user script writes that."""
    if within(by, VET, script):
        return True
    return script.kind is ScriptKind.USER and script.owner == by.name and within(by, CHANGE, script)


def check_writes(script: Script, by: Principal) -> None:
    """Raise Forbidden unless the principal may write it."""
    if not may_write(script, by):
        whose = "a system script" if script.kind is ScriptKind.SYSTEM else f"a script of {script.owner}"
        raise Forbidden(
            "script.not_yours", f"{script.name} is {whose}, which {by.name} may not change. Clone it and change that."
        )


def check_tags(before: Collection[str], after: Collection[str], by: Principal, permission: str) -> None:
    """Tags decide who may run a script. Raise Forbidden if a scope is bound to tags, and these would leave it."""
    tags = bound(scopes(by, permission))
    if tags is None:
        return
    if set(before) ^ set(after) <= tags and not tags.isdisjoint(after):
        return
    raise Forbidden(
        "script.outside", f"{by.name} may give and take the tags {', '.join(sorted(tags))} only, and must leave one."
    )


def check_runs(script: Script, version: ScriptVersion, by: Principal) -> None:
    """Raise Conflict unless this version may be run by this principal, who may run the script.

    A draft was vetted by nobody. It is run by whoever may write it and could run any text at all.
    """
    if version.state is VersionState.ONLINE:
        return
    if version.state is VersionState.RETIRED:
        raise Conflict("script.retired", f"Version {version.number} of {script.name} is retired. Choose another.")
    if not may_write(script, by) or bound(scopes(by, START)) is not None:
        raise Conflict(
            "script.draft", f"Version {version.number} of {script.name} is a draft; only who may write it can try it."
        )
