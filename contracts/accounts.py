"""Accounts: the names under which scripts may run, and who may use which, where. Spoken by the config service."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from contracts.groups import GroupName
from contracts.hosts import Limit
from contracts.kinds import Call, delete, get, post
from contracts.people import Name, Principal
from contracts.tokens import END

AccountName = Annotated[str, Meta(pattern=r"^[a-z_][a-z0-9_.-]{0,31}" + END)]
"""An alias, or the name of an OS user. Never a number: to an operating system `0` is root."""
OsUser = Annotated[str, Meta(pattern=r"^([a-z_][a-z0-9_.-]{0,31})?" + END)]
"""Empty: whatever the agent itself runs as."""
EVERY_INTEGRATION = "*"
IntegrationName = Annotated[str, Meta(pattern=r"^(i-[a-z0-9_-]{1,62}|\*)" + END)]
"""Or EVERY_INTEGRATION."""
Description = Annotated[str, Meta(max_length=2000)]
RoleNames = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(max_length=64)]
PersonNames = Annotated[tuple[Name, ...], Meta(max_length=500)]
IntegrationNames = Annotated[tuple[IntegrationName, ...], Meta(max_length=100)]
GroupNames = Annotated[tuple[GroupName, ...], Meta(max_length=200)]

AGENT = "agent"
"""The alias that is used when none is named and no group has a default."""
ROOT = "root"


class Account(Struct, frozen=True, kw_only=True):
    """Who is not named here, by role or by name, may not use it."""

    alias: str
    os_user: str
    """Empty: whatever the agent itself runs as."""
    description: str = ""
    roles: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    integrations: tuple[str, ...] = ()
    groups: tuple[str, ...] | None = None
    """It may be used on members of any of these groups; None: on every host."""
    default_for: tuple[str, ...] = ()
    """On members of these groups it is used when a run names no account."""
    disabled: bool = False
    built_in: bool = False
    """It is there from the first start and cannot be deleted."""
    revision: int
    changed_by: str
    changed_at: datetime


class CreateAccount(Struct, frozen=True, kw_only=True):
    alias: AccountName
    os_user: OsUser
    description: Description = ""
    roles: RoleNames = ()
    people: PersonNames = ()
    integrations: IntegrationNames = ()
    groups: GroupNames | None = None
    default_for: GroupNames = ()
    disabled: bool = False


class ChangeAccount(Struct, frozen=True, kw_only=True):
    """Fields left out stay as they are. With `revision` the change is refused if somebody else was faster."""

    alias: AccountName
    revision: int | None = None
    os_user: OsUser | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    roles: RoleNames | UnsetType = UNSET
    people: PersonNames | UnsetType = UNSET
    integrations: IntegrationNames | UnsetType = UNSET
    groups: GroupNames | UnsetType | None = UNSET
    default_for: GroupNames | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


class AccountRef(Struct, frozen=True, kw_only=True):
    alias: AccountName


class DeleteAccount(Struct, frozen=True, kw_only=True):
    alias: AccountName
    revision: int | None = None


class ListAccounts(Struct, frozen=True, kw_only=True):
    search: Annotated[str, Meta(max_length=32)] = ""
    """Matches the beginning of an alias."""
    os_user: str = ""
    after: str = ""
    limit: Limit = 100


class Accounts(Struct, frozen=True, kw_only=True):
    """Sorted by alias."""

    accounts: list[Account]
    next: str = ""


class ResolveAccount(Struct, frozen=True, kw_only=True):
    """May `principal` use this account for a run on hosts that are in these groups? Only services are answered."""

    account: str
    """An alias or the name of an OS user; empty: the default of the hosts' groups, or `agent`."""
    principal: Principal
    groups: tuple[tuple[str, ...], ...] | None = None
    """The different sets of groups that the run's hosts are in, each from the lowest precedence to the highest. Only
    groups of `ask_groups` matter. None: not asked for yet."""


class ResolvedAccount(Struct, frozen=True, kw_only=True):
    alias: str = ""
    """What scopes speak of: the alias, or the name of an OS user that has none."""
    os_user: str = ""
    """Empty: whatever the agent itself runs as."""
    ask_groups: tuple[str, ...] = ()
    """Not decided yet: ask again and say which of these groups the hosts are in."""


list_accounts = Call(
    "config.accounts.list",
    ListAccounts,
    Accounts,
    needs="accounts:read",
    http=get("/accounts"),
    idempotent=True,
    summary="List accounts",
)
show_account = Call(
    "config.accounts.show",
    AccountRef,
    Account,
    needs="accounts:read",
    http=get("/accounts/{alias}"),
    idempotent=True,
    summary="Show an account",
)
create_account = Call(
    "config.accounts.create",
    CreateAccount,
    Account,
    needs="accounts:change",
    http=post("/accounts", status=201),
    summary="Define an account and who may use it",
)
change_account = Call(
    "config.accounts.change",
    ChangeAccount,
    Account,
    needs="accounts:change",
    http=post("/accounts/{alias}"),
    summary="Change an account or who may use it",
)
delete_account = Call(
    "config.accounts.delete",
    DeleteAccount,
    Account,
    needs="accounts:change",
    http=delete("/accounts/{alias}"),
    summary="Delete an account",
)
resolve_account = Call(
    "config.accounts.resolve",
    ResolveAccount,
    ResolvedAccount,
    needs="accounts:read",
    idempotent=True,
    reads=True,
    summary="Which OS user a run of somebody gets; for services",
)
