"""Logging in and out, and choosing whom to speak with."""

import dataclasses
import os
import platform
from pathlib import Path

import click
import msgspec

from cli import contexts, scopes
from cli.client import API, Client, checked
from cli.contexts import Context
from cli.display import Form, emit, facts, rows, talk
from cli.exits import LoginNeeded
from cli.passwords import asked
from cli.session import Session, context_option, data_options, pass_session
from cli.terminal import can_ask
from cli.words import Word
from contracts.people import (
    ChangeOwnPassword,
    CreateToken,
    Nothing,
    TokenRef,
    change_own_password,
    create_token,
    whoami,
    withdraw_token,
)
from contracts.permissions import Grant

DEFAULT_CONTEXT = "default"


@click.command("login")
@click.argument("url", required=False)
@click.option("--user", help="Who you are there; asked for on a terminal.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="Trust this certificate authority (PEM).")
@context_option
@pass_session
def login(session: Session, url: str | None, user: str | None, ca: str | None) -> None:
    """Log in with a password and keep an API token for this context.

    The password is asked for on a terminal and otherwise read from stdin; it is not kept. Without URL, the one of the
    context is used, or DROVER_URL. The token is kept in ~/.config/drover/config.toml, readable by you only.

    \b
    Examples:
      drover login https://drover.example
      drover login https://drover.test.example --context test --ca ca.pem
      drover login http://127.0.0.1:8470 --user admin < password.txt
    """
    file = contexts.path()
    known = contexts.load(file)
    name = contexts.checked_name(session.name or known.current or DEFAULT_CONTEXT)
    before = known.contexts.get(name)
    address = url or os.environ.get("DROVER_URL") or (before.url if before else "")
    if not address:
        raise click.UsageError("where? drover login https://HOST[:PORT]")
    if ca is None and before is not None and before.url == contexts.checked_url(address):
        ca = before.ca
    made = _login(contexts.checked_url(address), user, str(Path(ca).resolve()) if ca else "")
    if before is not None and before.url == made.url:
        made = dataclasses.replace(made, audit_key=before.audit_key, audit_seen=before.audit_seen)
    known.contexts[name], known.current = made, name
    contexts.save(file, known)
    talk(f"logged in at {made.url}; context {name} is the current one")


def _login(url: str, user: str | None, ca: str) -> Context:
    """Password for session, session for token; the session ends at once."""
    if user is None:
        if not can_ask():
            raise click.UsageError("who? give --user when there is no terminal")
        user = click.prompt("User", err=True)
    from cli.connection import Connection

    connection = Connection(url, ca=ca)
    body = msgspec.json.encode({"name": user, "password": asked()})
    answer = connection.exchange("POST", f"{API}/login", body, repeatable=False)
    checked(answer)
    cookie = answer.headers.get("Set-Cookie", "").partition(";")[0]
    client = Client(connection)
    token = client.call(create_token, CreateToken(label=f"drover on {platform.node()}"[:100]), cookie=cookie)
    checked(connection.exchange("POST", f"{API}/logout", b"{}", repeatable=False, cookie=cookie))
    return Context(url=url, token=token.secret, token_id=token.id, ca=ca)


@click.command("logout")
@context_option
@pass_session
def logout(session: Session) -> None:
    """Withdraw the context's token and forget it.

    \b
    Examples:
      drover logout
      drover logout --context test
    """
    file = contexts.path()
    known = contexts.load(file)
    name = session.name or known.current
    context = known.contexts.get(name)
    if context is None or not context.token:
        raise LoginNeeded("not logged in", "drover login")
    from cli.connection import Connection

    client = Client(Connection(context.url, context.token, context.ca))
    try:
        client.call(withdraw_token, TokenRef(id=context.token_id))
    except LoginNeeded:
        talk("the token was no longer good")
    known.contexts[name] = dataclasses.replace(context, token="", token_id="")
    contexts.save(file, known)
    talk(f"logged out at {context.url}")


@click.command("whoami")
@data_options
@pass_session
def who(session: Session, form: Form) -> None:
    """Show who you are to the server, and what you may do there.

    \b
    Examples:
      drover whoami
      drover whoami -o json
    """
    content, found = session.client.both(whoami, Nothing())

    def table() -> None:
        facts(
            [
                ("name", found.name),
                ("roles", ", ".join(found.roles)),
                ("grants", "\n".join(_grant(each) for each in found.grants)),
                ("from", found.address),
                ("server", session.context.url),
            ]
        )

    emit(form, content, lambda: [found.name], table)


def _grant(grant: Grant) -> str:
    """What roles that people defined, or the limits of a token, allow."""
    return f"{', '.join(grant.permissions)} ({scopes.told(grant.scope).replace(chr(10), ', ')})"


@click.command("password")
@data_options
@pass_session
def password(session: Session, form: Form) -> None:
    """Change your password: the old one, then the new one, at a terminal or as two lines on stdin.

    Your API tokens and sessions end, this login too.

    \b
    Examples:
      drover password
      printf '%s\\n' "$OLD" "$NEW" | drover password
    """
    request = ChangeOwnPassword(old=asked("Old password"), new=asked("New password", twice=True))
    content, changed = session.client.both(change_own_password, request)
    emit(form, content, lambda: [changed.name], lambda: facts([("changed", changed.name)]))
    talk("your tokens and sessions have ended: drover login")


@click.group("context")
def context_group() -> None:
    """Choose between servers."""


@context_group.command("list")
@click.option("-o", "--output", "form", type=Word(Form), default=Form.TABLE.value, help="table, json or name.")
def list_(form: Form) -> None:
    """List contexts; the current one has a star.

    \b
    Examples:
      drover context list
      drover context list -o name
    """
    known = contexts.load(contexts.path())

    def table() -> None:
        rows(
            ("", "NAME", "URL", "LOGIN"),
            [
                ("*" if name == known.current else "", name, each.url, "yes" if each.token else "no")
                for name, each in sorted(known.contexts.items())
            ],
        )

    content = [
        {"name": name, "url": each.url, "current": name == known.current}
        for name, each in sorted(known.contexts.items())
    ]
    emit(form, content, lambda: sorted(known.contexts), table)


@context_group.command("use")
@click.argument("name")
def use(name: str) -> None:
    """Make a context the current one.

    \b
    Examples:
      drover context use prod
    """
    file = contexts.path()
    known = contexts.load(file)
    if name not in known.contexts:
        raise click.UsageError(
            f"there is no context {name!r}; known: {', '.join(sorted(known.contexts)) or 'none yet'}"
        )
    known.current = name
    contexts.save(file, known)
    talk(f"context {name}: {known.contexts[name].url}")
