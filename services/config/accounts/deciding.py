"""Which account a run gets, and whether whoever starts it may use it there. Pure."""

from collections.abc import Mapping, Sequence

from contracts.accounts import AGENT, EVERY_INTEGRATION, ROOT, Account, ResolvedAccount
from contracts.errors import Conflict, Forbidden, Invalid
from contracts.people import Principal
from contracts.permissions import Scope
from services.config.accounts.model import bound, unbounded

GroupSets = Sequence[Sequence[str]] | None
"""The different sets of groups that hosts are in, each from the lowest precedence to the highest; None: unknown yet."""


def check(account: Account, principal: Principal, scopes: Sequence[Scope]) -> None:
    """Raise unless `principal`, who may start runs within `scopes`, may use the account somewhere."""
    within = bound(scopes)
    if within is not None and account.alias not in within:
        raise unknown(account.alias)
    if not _granted(account, principal):
        raise Forbidden(
            "account.not_granted",
            f"The account {account.alias} is not granted to {principal.name}. Choose another, or ask an admin for it.",
        )
    if account.disabled:
        raise Conflict("account.disabled", f"The account {account.alias} is disabled. Choose another.")


def _granted(account: Account, principal: Principal) -> bool:
    if principal.kind == "integration":
        return not {principal.name, EVERY_INTEGRATION}.isdisjoint(account.integrations)
    if principal.kind == "service":
        # It may start some runs at all, and asked for whoever defined them when they did.
        return True
    if principal.kind != "person":
        return False
    return principal.name in account.people or not set(principal.roles).isdisjoint(account.roles)


def on_hosts(account: Account, groups: GroupSets) -> ResolvedAccount:
    """The account, if it may be used on hosts in these groups; or the question which they are in. Raises Invalid."""
    if account.groups is not None:
        if groups is None:
            return ResolvedAccount(ask_groups=account.groups)
        if any(set(each).isdisjoint(account.groups) for each in groups):
            where = ", ".join(account.groups) or "no group at all"
            raise Invalid(
                "account.not_here",
                f"The account {account.alias} may be used in {where}, and some of the hosts are outside."
                " Choose other hosts or another account.",
            )
    return ResolvedAccount(alias=account.alias, os_user=account.os_user)


def os_user_alone(name: str, scopes: Sequence[Scope], may_change: Sequence[Scope]) -> ResolvedAccount:
    """A name that is no alias: whoever may define accounts may also do without one. Raises Invalid."""
    within = bound(scopes)
    if name == ROOT or not unbounded(may_change) or (within is not None and name not in within):
        raise unknown(name)
    return ResolvedAccount(alias=name, os_user=name)


def default_alias(defaults: Mapping[str, str], groups: Sequence[Sequence[str]]) -> str:
    """The alias that all hosts have as their default: of each host's groups, the highest one with a default counts.

    Takes group → alias. Raises Invalid if hosts differ.
    """
    found = sorted({_default(defaults, each) for each in groups} or {AGENT})
    if len(found) > 1:
        raise Invalid(
            "account.ambiguous",
            f"The hosts' groups have different default accounts: {', '.join(found)}. Name the one that is meant.",
        )
    return found[0]


def _default(defaults: Mapping[str, str], groups: Sequence[str]) -> str:
    return next((defaults[group] for group in reversed(groups) if group in defaults), AGENT)


def unknown(name: str) -> Invalid:
    return Invalid("account.unknown", f"There is no account {name}. See `drover account list`.")
