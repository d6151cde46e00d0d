"""Who may see a run, stop it or try it again. Pure, but for the reading of whose run it is."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from contracts.errors import NotFound
from contracts.people import Principal
from contracts.permissions import EVERYTHING, Scope
from runtime.authorize import scopes

READ, START, STOP = "runs:read", "runs:start", "runs:stop"


class Whose(NamedTuple):
    """What decides about it."""

    by: Principal
    businesses: Sequence[str] | None
    """Of its hosts, as they were when it started; None: not known."""


class Knowing(Protocol):
    async def whose(self, run: str) -> Whose:
        """Raises NotFound."""


def visible(principal: Principal, permission: str, run: Whose) -> bool:
    """Whether a principal that has the permission somewhere has it for this run.

    It does for its own runs, and for those all of whose hosts belong to businesses of one scope. A scope with other
    bounds besides says nothing about runs of others: groups change, and so does who is in them. To an API token with
    limits, runs that its owner started otherwise are those of somebody else.
    """
    within = scopes(principal, permission)
    if EVERYTHING in within or _own(principal, run.by):
        return True
    return run.businesses is not None and any(_holds(scope, run.businesses) for scope in within)


def _own(principal: Principal, by: Principal) -> bool:
    same = (principal.kind, principal.name) == (by.kind, by.name)
    return same and (not principal.limited or principal.credential == by.credential)


def _holds(scope: Scope, businesses: Sequence[str]) -> bool:
    only_businesses = scope.groups is None and scope.accounts is None and scope.script_tags is None
    return only_businesses and set(businesses) <= set(scope.businesses or ())


async def check(runs: Knowing, run: str, principal: Principal, permission: str = READ) -> None:
    """Raise NotFound for a run that is not there or not this principal's to see; reads nothing for whoever sees all."""
    if EVERYTHING not in scopes(principal, permission) and not visible(principal, permission, await runs.whose(run)):
        raise unknown(run)


def unknown(run: str) -> NotFound:
    return NotFound("run.unknown", f"There is no run {run}.")
