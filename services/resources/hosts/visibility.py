"""Which hosts somebody sees at all, by the scopes of a permission, and between which businesses they move them. Pure.

The bounds of one scope hold together; of several scopes any one suffices; no scope is no host.
"""

from collections.abc import Callable, Iterable, Sequence

from contracts.errors import Forbidden
from contracts.people import Principal
from contracts.permissions import ROLES, Scope
from runtime.authorize import bounds
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


def check_business(principal: Principal, before: str, after: str) -> None:
    """Raise Forbidden if giving a host another business would carry it over a bound of whoever does it.

    That is a bound of any permission: else who may change every host and run on those of one business would run on
    every host. A scope of groups does not suffice, since groups may ask for the business.
    """
    if before == after or (_knows_all_bounds(principal) and _hold_both(bounds(principal), {before, after})):
        return
    raise Forbidden("auth.forbidden", f"{principal.name} may not give hosts to {after or 'no business'}.")


def _knows_all_bounds(principal: Principal) -> bool:
    """A token with limits does not say what its owner may do besides; built-in roles have no bounds."""
    return not principal.limited or all(name in ROLES for name in principal.roles)


def _hold_both(each: Iterable[Sequence[Scope]], businesses: set[str]) -> bool:
    """Whether one scope at least of each permission holds hosts of both businesses, whatever their groups."""
    return all(
        any(
            scope.groups is None and (scope.businesses is None or businesses <= set(scope.businesses))
            for scope in scopes
        )
        for scopes in each
    )


def _bounds(scope: Scope, in_groups: Callable[[Iterable[str]], Condition]) -> Iterable[Condition]:
    if scope.businesses is not None:
        yield {"business": {"$in": list(scope.businesses)}}
    if scope.groups is not None:
        yield in_groups(scope.groups)
