"""Accounts that scripts run as: which there are, and who may use them."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click
from msgspec import UNSET, UnsetType

from cli.client import typed
from cli.display import Form, emit, facts, rows, when
from cli.session import Session, data_options, pass_session
from contracts.accounts import (
    Account,
    AccountRef,
    Accounts,
    ChangeAccount,
    CreateAccount,
    DeleteAccount,
    ListAccounts,
    change_account,
    create_account,
    delete_account,
    list_accounts,
    show_account,
)

F = TypeVar("F", bound=Callable[..., Any])
WHO = {"role": "roles", "person": "people", "integration": "integrations"}
OWN_USER = "(the agent's own)"


@click.group("account")
def account_group() -> None:
    """Accounts that scripts run as, and who may use them."""


@account_group.command("list")
@click.option("--search", default="", help="Only aliases that begin with this.")
@click.option("--os-user", default="", help="Only accounts of this OS user.")
@data_options
@pass_session
def list_(session: Session, search: str, os_user: str, form: Form) -> None:
    """List accounts.

    \b
    Examples:
      drover account list
      drover account list --os-user root -o name
    """
    content = session.client.all_pages(list_accounts, ListAccounts(search=search, os_user=os_user, limit=1000))
    found = typed(content, Accounts).accounts

    def table() -> None:
        rows(
            ("ALIAS", "OS USER", "WHO", "GROUPS", "DEFAULT FOR", "STATE"),
            [
                (
                    each.alias,
                    each.os_user or OWN_USER,
                    " ".join(_who(each)),
                    _groups(each),
                    " ".join(each.default_for),
                    "disabled" if each.disabled else "",
                )
                for each in found
            ],
        )

    emit(form, content, lambda: [each.alias for each in found], table)


@account_group.command("show")
@click.argument("alias")
@data_options
@pass_session
def show(session: Session, alias: str, form: Form) -> None:
    """Show an account and who may use it.

    \b
    Examples:
      drover account show deploy
      drover account show root -o json
    """
    content, found = session.client.both(show_account, AccountRef(alias=alias))
    _emit(form, content, found)


def _grant_option(name: str, text: str) -> Callable[[F], F]:
    return click.option(name, multiple=True, metavar="KIND:NAME", help=text)


@account_group.command("create")
@click.argument("alias")
@click.option("--os-user", help="The user on the hosts; left out: of the same name.")
@click.option("--description", default="", help="What it is for.")
@_grant_option("--grant", "Who may use it: role:NAME, person:NAME or integration:NAME; repeatable.")
@click.option("--group", "groups", multiple=True, help="Only on members of this group; repeatable.")
@click.option("--default-for", multiple=True, metavar="GROUP", help="Used there when a run names none; repeatable.")
@data_options
@pass_session
def create(session: Session, /, alias: str, os_user: str | None, form: Form, **given: Any) -> None:
    """Define an account. Only those to whom it is granted may use it.

    \b
    Examples:
      drover account create deploy --grant role:operator
      drover account create db --os-user postgres --grant person:alice --group databases --default-for databases
      drover account create ci --os-user deploy --grant integration:i-ci
    """
    who = granted(given["grant"])
    request = CreateAccount(
        alias=alias,
        os_user=alias if os_user is None else os_user,
        description=given["description"],
        groups=given["groups"] or None,
        default_for=given["default_for"],
        roles=who["roles"],
        people=who["people"],
        integrations=who["integrations"],
    )
    content, made = session.client.both(create_account, request)
    _emit(form, content, made)


@account_group.command("change")
@click.argument("alias")
@click.option("--os-user", help="Another user on the hosts.")
@click.option("--description", help="What it is for.")
@_grant_option("--grant", "Who may use it from now on, besides the others; repeatable.")
@_grant_option("--withdraw", "Who may not use it any more; repeatable.")
@click.option("--group", "groups", multiple=True, help="From now on only on members of these groups; repeatable.")
@click.option("--everywhere", is_flag=True, help="On all hosts from now on.")
@click.option("--default-for", multiple=True, metavar="GROUP", help="The groups it is the default of; repeatable.")
@click.option("--no-default", is_flag=True, help="No group's default any more.")
@click.option("--disable/--enable", "disabled", default=None, help="Whether nobody may use it.")
@data_options
@pass_session
def change(session: Session, /, alias: str, form: Form, **given: Any) -> None:
    """Change an account or who may use it. What is not named stays.

    \b
    Examples:
      drover account change deploy --grant person:bob --withdraw role:operator
      drover account change db --group databases --group 'idc:js'
      drover account change old --disable
    """
    if (given["groups"] and given["everywhere"]) or (given["default_for"] and given["no_default"]):
        raise click.UsageError("name groups, or none of them, not both")
    before = session.client.call(show_account, AccountRef(alias=alias))
    groups: tuple[str, ...] | UnsetType | None = given["groups"] or UNSET
    request = ChangeAccount(
        alias=alias,
        revision=before.revision,
        os_user=_said(given["os_user"]),
        description=_said(given["description"]),
        groups=None if given["everywhere"] else groups,
        default_for=() if given["no_default"] else given["default_for"] or UNSET,
        disabled=_said(given["disabled"]),
        **_regranted(before, granted(given["grant"]), granted(given["withdraw"])),
    )
    content, after = session.client.both(change_account, request)
    _emit(form, content, after)


@account_group.command("delete")
@click.argument("alias")
@data_options
@pass_session
def delete(session: Session, alias: str, form: Form) -> None:
    """Delete an account. What ran under it keeps its name.

    \b
    Examples:
      drover account delete old
    """
    content, gone = session.client.both(delete_account, DeleteAccount(alias=alias))
    emit(form, content, lambda: [gone.alias], lambda: facts([("deleted", gone.alias)]))


def granted(words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Field of an account → the names that the words KIND:NAME give it."""
    found: dict[str, tuple[str, ...]] = dict.fromkeys(WHO.values(), ())
    for word in words:
        kind, _, name = word.partition(":")
        if kind not in WHO or not name:
            raise click.UsageError(f"{word!r}: write role:NAME, person:NAME or integration:NAME")
        found[WHO[kind]] += (name,)
    return found


def _regranted(
    before: Account, more: dict[str, tuple[str, ...]], less: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    changed = {}
    for field in WHO.values():
        names = tuple(name for name in (*getattr(before, field), *more[field]) if name not in less[field])
        if names != getattr(before, field):
            changed[field] = names
    return changed


def _said(value: Any) -> Any:
    return UNSET if value is None else value


def _who(account: Account) -> list[str]:
    return [f"{kind}:{name}" for kind, field in WHO.items() for name in getattr(account, field)]


def _groups(account: Account) -> str:
    return "everywhere" if account.groups is None else " ".join(account.groups) or "nowhere"


def _emit(form: Form, content: Any, account: Account) -> None:
    def table() -> None:
        facts(
            [
                ("alias", account.alias),
                ("os user", account.os_user or OWN_USER),
                ("description", account.description),
                ("who", "\n".join(_who(account)) or "nobody"),
                ("groups", _groups(account)),
                ("default for", "\n".join(account.default_for)),
                ("state", "disabled" if account.disabled else ""),
                ("changed", f"{when(account.changed_at)} by {account.changed_by}"),
                ("revision", str(account.revision)),
            ]
        )

    emit(form, content, lambda: [account.alias], table)
