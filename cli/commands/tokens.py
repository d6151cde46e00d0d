"""Secrets that are given out and taken back: API tokens, join tokens, credentials of integrations."""

from typing import Any

import click

from cli import scopes
from cli.client import typed
from cli.display import Form, emit, facts, rows, talk, when
from cli.durations import Duration
from cli.scripts import pairs
from cli.session import Session, data_options, pass_session
from cli.words import Word
from contracts.hosts import (
    CreateJoinToken,
    HostClass,
    HostState,
    JoinToken,
    JoinTokenRef,
    create_join_token,
    list_join_tokens,
    withdraw_join_token,
)
from contracts.people import (
    ApiToken,
    ApiTokens,
    CreateToken,
    ListTokens,
    ListTokensOf,
    Nothing,
    TokenOf,
    TokenRef,
    create_token,
    list_tokens,
    list_tokens_of,
    withdraw_token,
    withdraw_token_of,
)


@click.group("token")
def token_group() -> None:
    """API tokens: what programs log in with, as you."""


@token_group.command("create")
@click.argument("label")
@click.option("--expires", type=Duration("1m", "366d"), default="90d", show_default=True, help="How long it is good.")
@click.option("--permission", multiple=True, help="Only this of what you may do, as in the reference; repeatable.")
@scopes.option
@data_options
@pass_session
def create(session: Session, /, form: Form, **given: Any) -> None:
    """Make an API token. Its secret is shown this once; with -o name it is all that is printed.

    It can do what you can, within the limits given here, and never more than you can at that moment.

    \b
    Examples:
      drover token create 'nightly backup' --expires 30d
      drover token create report --permission runs:read --permission hosts:read --scope business=shop
      DROVER_TOKEN=$(drover token create ci -o name) ./deploy.sh
    """
    request = CreateToken(
        label=given["label"],
        expires_in_s=given["expires"],
        permissions=given["permission"] or None,
        scope=scopes.read(given["scope"]),
    )
    content, made = session.client.both(create_token, request)
    told = [("id", made.id), ("label", made.label), ("expires", when(made.expires_at)), *_limits(made)]
    _once(form, content, made.secret, told)


def _limits(token: ApiToken) -> list[tuple[str, str]]:
    permissions = "as its owner" if token.permissions is None else ", ".join(token.permissions)
    return [("permissions", permissions), ("scope", scopes.told(token.scope))]


def _once(form: Form, content: Any, secret: str, told: list[tuple[str, str]]) -> None:
    emit(form, content, lambda: [secret], lambda: facts([*told, ("secret", secret)]))
    talk("the secret is not shown again")


@token_group.command("list")
@click.option("--person", help="Somebody else's tokens; for admins.")
@data_options
@pass_session
def list_(session: Session, person: str | None, form: Form) -> None:
    """List your API tokens, without their secrets.

    \b
    Examples:
      drover token list
      drover token list --person kim -o json
    """
    if person is None:
        content = session.client.all_pages(list_tokens, ListTokens(limit=500))
    else:
        content = session.client.all_pages(list_tokens_of, ListTokensOf(name=person, limit=500))
    found = typed(content, ApiTokens).tokens

    def table() -> None:
        rows(
            ("ID", "LABEL", "CREATED", "EXPIRES", "LAST USED", "PERMISSIONS", "SCOPE"),
            [
                (
                    each.id,
                    each.label,
                    when(each.created_at),
                    when(each.expires_at),
                    when(each.last_used_at),
                    *(value for _, value in _limits(each)),
                )
                for each in found
            ],
        )

    emit(form, content, lambda: [each.id for each in found], table)


@token_group.command("withdraw")
@click.argument("token")
@click.option("--person", help="Whose it is, if not yours; for admins.")
@data_options
@pass_session
def withdraw(session: Session, token: str, person: str | None, form: Form) -> None:
    """Withdraw an API token, by its id; it is no longer good at once.

    \b
    Examples:
      drover token withdraw t-3e97ea1d54fb
      drover token withdraw t-3e97ea1d54fb --person kim
    """
    if person is None:
        content, gone = session.client.both(withdraw_token, TokenRef(id=token))
    else:
        content, gone = session.client.both(withdraw_token_of, TokenOf(name=person, id=token))
    _withdrawn(form, content, gone)


def _withdrawn(form: Form, content: Any, gone: ApiToken | JoinToken) -> None:
    emit(form, content, lambda: [gone.id], lambda: facts([("withdrawn", gone.id)]))


@click.group("join-token")
def join_token_group() -> None:
    """Join tokens: with one, a host enrols."""


@join_token_group.command("create")
@click.argument("idc")
@click.option("--expires", type=Duration("1m", "30d"), default="1h", show_default=True, help="How long it is good.")
@click.option("--uses", type=click.IntRange(min=1), default=1, show_default=True, help="How many hosts may enrol.")
@click.option(
    "--class",
    "host_class",
    type=Word(HostClass),
    default=HostClass.PHYSICAL.value,
    show_default=True,
    help="management: a machine that runs Drover itself.",
)
@click.option(
    "--state",
    type=Word(HostState),
    default=HostState.IN_SERVICE.value,
    show_default=True,
    help="State of the hosts that enrol.",
)
@click.option("--business", default="", help="Business of the hosts that enrol.")
@click.option("--line", default="", help="Their product line.")
@click.option("--tag", multiple=True, help="A tag of theirs; repeatable.")
@click.option("--label", multiple=True, metavar="NAME=VALUE", help="A label of theirs; repeatable.")
@data_options
@pass_session
def create_join(session: Session, /, form: Form, **given: Any) -> None:
    """Make a join token for hosts of an IDC. Its secret is shown this once; -o name prints nothing else.

    \b
    Examples:
      drover join-token create js
      drover join-token create js --uses 20 --expires 2d --tag web --business shop
      drover join-token create bj -o name > join.token
    """
    request = CreateJoinToken(
        idc=given["idc"],
        expires_in_s=given["expires"],
        uses=given["uses"],
        host_class=given["host_class"],
        state=given["state"],
        business=given["business"],
        product_line=given["line"],
        tags=given["tag"],
        labels=pairs(given["label"], "--label"),
    )
    content, made = session.client.both(create_join_token, request)
    told = [("id", made.id), ("idc", made.idc), ("uses", str(made.uses_left)), ("expires", when(made.expires_at))]
    _once(form, content, made.secret, told)


@join_token_group.command("list")
@data_options
@pass_session
def list_join(session: Session, form: Form) -> None:
    """List join tokens that still work.

    \b
    Examples:
      drover join-token list
    """
    content, found = session.client.both(list_join_tokens, Nothing())

    def table() -> None:
        rows(
            ("ID", "IDC", "USES LEFT", "EXPIRES", "BY"),
            [(t.id, t.idc, str(t.uses_left), when(t.expires_at), t.created_by) for t in found.tokens],
        )

    emit(form, content, lambda: [each.id for each in found.tokens], table)


@join_token_group.command("withdraw")
@click.argument("token")
@data_options
@pass_session
def withdraw_join(session: Session, token: str, form: Form) -> None:
    """Withdraw a join token, by its id. Hosts that enrolled with it stay.

    \b
    Examples:
      drover join-token withdraw j-e8fd0456901d
    """
    content, gone = session.client.both(withdraw_join_token, JoinTokenRef(id=token))
    _withdrawn(form, content, gone)
