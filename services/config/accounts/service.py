"""What can be done with accounts. Each public method is one use case."""

from collections.abc import Sequence

import structlog
from msgspec import UNSET

from contracts.accounts import (
    AGENT,
    Account,
    AccountRef,
    Accounts,
    ChangeAccount,
    CreateAccount,
    DeleteAccount,
    ListAccounts,
    ResolveAccount,
    ResolvedAccount,
)
from contracts.errors import Conflict, Forbidden, NotFound
from contracts.names import NameKind
from contracts.people import Principal
from runtime.audit import note
from runtime.authorize import scopes
from runtime.mongo import now
from runtime.names import Names
from services.config.accounts import deciding, model
from services.config.accounts.store import AccountStore, AliasTaken, DefaultTaken

log = structlog.get_logger()

READ, CHANGE, START = "accounts:read", "accounts:change", "runs:start"
TURNS = 5


class AccountService:
    def __init__(self, store: AccountStore, names: Names) -> None:
        self._store, self._names = store, names

    async def list(self, request: ListAccounts, by: Principal) -> Accounts:
        found = await self._store.page(request, model.bound(scopes(by, READ)))
        page = found[: request.limit]
        return Accounts(accounts=page, next=page[-1].alias if len(found) > request.limit else "")

    async def show(self, request: AccountRef, by: Principal) -> Account:
        return await self._get(request.alias, by, READ)

    async def create(self, request: CreateAccount, by: Principal) -> Account:
        _for_all(by, "define accounts")
        account = model.created(request, by.name, now())
        await self._names.check(model.named(account), by)
        try:
            await self._store.add(account)
        except AliasTaken:
            raise Conflict(
                "account.exists", f"There is an account {account.alias} already. Choose another alias."
            ) from None
        except DefaultTaken:
            raise _default_taken(account) from None
        log.info("account.created", account=account.alias, os_user=account.os_user, by=by.name)
        return account

    async def change(self, request: ChangeAccount, by: Principal) -> Account:
        if request.os_user is not UNSET:
            _for_all(by, "say which OS user an account is")
        for _ in range(TURNS):
            before = await self._get(request.alias, by, CHANGE)
            await self._store.revisions.check(request.revision, before.revision, before.alias)
            after = model.changed(before, request, by.name, now())
            added = model.added(before, after)
            model.check_groups(added[NameKind.GROUP], scopes(by, CHANGE))
            await self._names.check(added, by)
            try:
                if after is before or await self._store.save(before, after):
                    note(before=before, after=after)
                    log.info("account.changed", account=after.alias, revision=after.revision, by=by.name)
                    return after
            except DefaultTaken:
                raise _default_taken(after) from None
        raise _busy(request.alias)

    async def delete(self, request: DeleteAccount, by: Principal) -> Account:
        _for_all(by, "delete accounts")
        for _ in range(TURNS):
            account = await self._get(request.alias, by, CHANGE)
            await self._store.revisions.check(request.revision, account.revision, account.alias)
            if account.built_in:
                raise Conflict(
                    "account.built_in",
                    f"The account {account.alias} is always there. Disable it, or take its grants away.",
                )
            if uses := await self._names.uses(NameKind.ACCOUNT, account.alias):
                raise Conflict(
                    "account.in_use", f"{account.alias} is named by {', '.join(uses)}. Take it out of there first."
                )
            if await self._store.remove(account):
                note(before=account)
                log.info("account.deleted", account=account.alias, by=by.name)
                return account
        raise _busy(request.alias)

    async def resolve(self, request: ResolveAccount, asker: Principal) -> ResolvedAccount:
        """Whether the principal named in the request may use the account on such hosts, and whom that makes there."""
        if asker.kind != "service":
            raise Forbidden("auth.forbidden", f"{asker.name} may not ask on behalf of others; services may.")
        may_start = scopes(request.principal, START)
        if request.account:
            account = await self._store.get(request.account)
            if account is None:
                return deciding.os_user_alone(request.account, may_start, scopes(request.principal, CHANGE))
        else:
            defaults = await self._store.defaults()
            if defaults and request.groups is None:
                return ResolvedAccount(ask_groups=await self._deciding_groups(defaults))
            account = await self._default(defaults, request.groups or ())
        deciding.check(account, request.principal, may_start)
        return deciding.on_hosts(account, request.groups)

    async def _default(self, defaults: Sequence[Account], groups: Sequence[Sequence[str]]) -> Account:
        by_group = {group: account.alias for account in defaults for group in account.default_for}
        alias = deciding.default_alias(by_group, groups)
        account = await self._store.get(alias)
        if account is None:
            raise deciding.unknown(alias)
        return account

    async def _deciding_groups(self, defaults: Sequence[Account]) -> tuple[str, ...]:
        """Groups with a default, and those that any of these accounts is bound to."""
        agent = await self._store.get(AGENT)
        bounds = [account.groups or () for account in (*defaults, *([agent] if agent else []))]
        return tuple(sorted({group for each in (*bounds, *(a.default_for for a in defaults)) for group in each}))

    async def _get(self, alias: str, by: Principal, permission: str) -> Account:
        within = model.bound(scopes(by, permission))
        account = await self._store.get(alias) if within is None or alias in within else None
        if account is None:
            raise NotFound("account.not_found", f"There is no account {alias}.")
        return account


def _for_all(by: Principal, what: str) -> None:
    """Who may change some accounts only could else make one of them another's user."""
    if not model.unbounded(scopes(by, CHANGE)):
        raise Forbidden(
            "auth.forbidden", f"{by.name} may not {what}: that needs {CHANGE} for all accounts, without a scope."
        )


def _default_taken(account: Account) -> Conflict:
    groups = ", ".join(account.default_for)
    return Conflict(
        "account.default_taken", f"Another account is the default of one of these groups: {groups}. Take it away there."
    )


def _busy(alias: str) -> Conflict:
    return Conflict("account.changed_meanwhile", f"The account {alias} is changed by others all the time. Try again.")
