"""What every command shares: the chosen context and the client that speaks with it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import click

from cli import contexts
from cli.client import Client
from cli.display import Form
from cli.words import Word

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Session:
    name: str = ""
    """The context asked for on the command line; empty: the current one."""

    @cached_property
    def context(self) -> contexts.Context:
        return contexts.chosen(contexts.load(contexts.path()), self.name)

    @cached_property
    def client(self) -> Client:
        from cli.connection import Connection

        return Client(Connection(self.context.url, self.context.token, self.context.ca))


pass_session = click.make_pass_decorator(Session, ensure=True)


def _choose(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Session).name = value


context_option = click.option(
    "--context", metavar="NAME", expose_value=False, callback=_choose, help="Speak with this context's server."
)


def data_options(command: F) -> F:
    """For commands that print data: in which form, and from which server."""
    form = click.option(
        "-o",
        "--output",
        "form",
        type=Word(Form),
        default=Form.TABLE.value,
        show_default=True,
        help="table for people; json: the API's objects; name: one name per line.",
    )
    return form(context_option(command))
