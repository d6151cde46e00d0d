"""An account and what becomes of it. Pure."""

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from msgspec import UNSET

from contracts.accounts import AGENT, EVERY_INTEGRATION, ROOT, Account, ChangeAccount, CreateAccount
from contracts.names import NameKind, UnknownName
from contracts.permissions import EVERYTHING, ROLES, Role, Scope
from runtime.names import unknown

_SETS = ("roles", "people", "integrations", "groups", "default_for")
_CHANGEABLE = ("os_user", "description", "disabled", *_SETS)


def built_in(at: datetime) -> tuple[Account, ...]:
    """What is there from the first start: visible grants that an admin can narrow."""
    return (
        Account(
            alias=AGENT,
            os_user="",
            description="Whatever the agent itself runs as. Used when a run names none and no group has a default.",
            roles=(Role.ADMIN, Role.OPERATOR),
            integrations=(EVERY_INTEGRATION,),
            built_in=True,
            revision=1,
            changed_by="drover",
            changed_at=at,
        ),
        Account(
            alias=ROOT,
            os_user=ROOT,
            description="The superuser.",
            roles=(Role.ADMIN,),
            built_in=True,
            revision=1,
            changed_by="drover",
            changed_at=at,
        ),
    )


def created(request: CreateAccount, by: str, at: datetime) -> Account:
    given = {name: getattr(request, name) for name in CreateAccount.__struct_fields__}
    return Account(**{**given, **_sorted(given)}, revision=1, changed_by=by, changed_at=at)


def changed(account: Account, request: ChangeAccount, by: str, at: datetime) -> Account:
    """The account after the change; the same object if nothing differs."""
    asked = {name: getattr(request, name) for name in _CHANGEABLE if getattr(request, name) is not UNSET}
    after = msgspec.structs.replace(account, **{**asked, **_sorted(asked)})
    if after == account:
        return account
    return msgspec.structs.replace(after, revision=account.revision + 1, changed_by=by, changed_at=at)


def named(account: Account) -> dict[NameKind, frozenset[str]]:
    """What it names that is kept elsewhere."""
    return {
        NameKind.ROLE: frozenset(account.roles) - ROLES.keys(),
        NameKind.PERSON: frozenset(account.people),
        NameKind.INTEGRATION: frozenset(account.integrations) - {EVERY_INTEGRATION},
        NameKind.GROUP: frozenset((*(account.groups or ()), *account.default_for)),
    }


def added(before: Account, after: Account) -> dict[NameKind, frozenset[str]]:
    """What it names now and did not name before: what is gone meanwhile keeps nobody from changing the rest."""
    old = named(before)
    return {kind: names - old[kind] for kind, names in named(after).items()}


def check_groups(names: Collection[str], scopes: Sequence[Scope]) -> None:
    """Raise Invalid for a group that means nothing to whoever has the scopes, as if there were none."""
    for name in sorted(names):
        if not any(scope.groups is None or name in scope.groups for scope in scopes):
            raise unknown(NameKind.GROUP, UnknownName(name=name))


def _sorted(given: dict[str, object]) -> dict[str, tuple[str, ...]]:
    """Sets are kept sorted, so that equal ones are equal."""
    found = {name: value for name in _SETS if isinstance(value := given.get(name), tuple)}
    return {name: tuple(sorted(set(value))) for name, value in found.items()}


def bound(scopes: Sequence[Scope]) -> frozenset[str] | None:
    """The accounts that lie in any of the scopes; None: all of them."""
    if any(scope.accounts is None for scope in scopes):
        return None
    return frozenset(name for scope in scopes for name in scope.accounts or ())


def unbounded(scopes: Sequence[Scope]) -> bool:
    return EVERYTHING in scopes
