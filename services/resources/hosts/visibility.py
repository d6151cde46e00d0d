"""Which hosts somebody sees at all, by the scopes of a permission. Pure.

The bounds of one scope hold together; of several scopes any one suffices; no scope is no host.
"""

from collections.abc import Callable, Iterable, Sequence

from contracts.permissions import Scope
from services.resources.hosts.criteria import NOBODY, Condition, all_of


def visible(scopes: Sequence[Scope], in_groups: Callable[[Iterable[str]], Condition]) -> Condition:
    """Of hosts that lie in one of the scopes; empty if that is every host. `in_groups` gives the condition of being in
    at least one of some groups."""
    if not is_bounded(scopes):
        return {}
    ways = [all_of(_bounds(scope, in_groups)) for scope in scopes]
    return {"$or": ways} if ways else NOBODY


def is_bounded(scopes: Iterable[Scope]) -> bool:
    """Whether there may be a host that lies in none of them."""
    return not any(scope.businesses is None and scope.groups is None for scope in scopes)


def sees_group(scopes: Iterable[Scope], name: str) -> bool:
    """Whether the name of a group means anything to whoever has these scopes."""
    return any(scope.groups is None or name in scope.groups for scope in scopes)


def _bounds(scope: Scope, in_groups: Callable[[Iterable[str]], Condition]) -> Iterable[Condition]:
    if scope.businesses is not None:
        yield {"business": {"$in": list(scope.businesses)}}
    if scope.groups is not None:
        yield in_groups(scope.groups)
