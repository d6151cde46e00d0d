"""Programs that speak NATS: giving them credentials and taking them back."""

from typing import Any

import click

from cli import scopes
from cli.display import Form, emit, out, rows, talk, when
from cli.durations import Duration
from cli.session import Session, data_options, pass_session
from contracts.people import (
    ChangeIntegration,
    CreateIntegration,
    Integration,
    IntegrationRef,
    Nothing,
    change_integration,
    create_integration,
    list_integrations,
    revoke_integration,
)


@click.group("integration")
def integration_group() -> None:
    """Programs that speak NATS instead of HTTP."""


@integration_group.command("create")
@click.argument("name")
@click.option(
    "--call", "calls", multiple=True, required=True, help="A call it may make, as in the reference; repeatable."
)
@click.option("--event", "events", multiple=True, help="Events it may hear, such as jobs.run; repeatable.")
@click.option("--expires", type=Duration("1h", "366d"), default="90d", show_default=True, help="How long it is good.")
@scopes.option
@data_options
@pass_session
def create(session: Session, /, form: Form, **given: Any) -> None:
    """Give a program NATS credentials for exactly these calls. They are printed this once; the name begins with i-.

    \b
    Examples:
      drover integration create i-deploy --call jobs.runs.start --call jobs.runs.show > deploy.creds
      drover integration create i-watch --call jobs.runs.show --event jobs.run -o json
      drover integration create i-shop --call resources.hosts.list --scope business=shop > shop.creds
    """
    request = CreateIntegration(
        name=given["name"],
        calls=given["calls"],
        events=given["events"],
        expires_in_s=given["expires"],
        scope=scopes.read(given["scope"]),
    )
    content, made = session.client.both(create_integration, request)
    emit(form, content, lambda: [made.name], lambda: out(made.credentials))
    talk(f"servers: {', '.join(made.servers)}\nanswers below: {made.inbox_prefix}\ncredentials are not shown again")


@integration_group.command("list")
@data_options
@pass_session
def list_(session: Session, form: Form) -> None:
    """List integrations.

    \b
    Examples:
      drover integration list
    """
    content, found = session.client.both(list_integrations, Nothing())

    def table() -> None:
        rows(("NAME", "STATE", "EXPIRES", "CALLS", "EVENTS", "SCOPE"), [_row(each) for each in found.integrations])

    emit(form, content, lambda: [each.name for each in found.integrations], table)


@integration_group.command("change")
@click.argument("name")
@scopes.option
@click.option("--everywhere", is_flag=True, help="Take all bounds away.")
@click.option("--revision", type=int, help="Refuse if somebody changed the integration after this revision.")
@data_options
@pass_session
def change(
    session: Session, name: str, scope: tuple[str, ...], everywhere: bool, revision: int | None, form: Form
) -> None:
    """Bound a program anew. It counts within seconds; its credentials stay.

    \b
    Examples:
      drover integration change i-deploy --scope business=shop,bank
      drover integration change i-deploy --everywhere --revision 3
    """
    if everywhere == bool(scope):
        raise click.UsageError("give either --scope or --everywhere")
    request = ChangeIntegration(name=name, scope=scopes.read(scope), revision=revision)
    content, changed = session.client.both(change_integration, request)
    emit(form, content, lambda: [changed.name], lambda: out(f"{changed.name}: {scopes.told(changed.scope)}"))


def _row(integration: Integration) -> tuple[str, ...]:
    state = "revoked" if integration.revoked else "good"
    named = (
        " ".join(integration.calls),
        " ".join(integration.events),
        " ".join(scopes.told(integration.scope).split()),
    )
    return (integration.name, state, when(integration.expires_at), *named)


@integration_group.command("revoke")
@click.argument("name")
@data_options
@pass_session
def revoke(session: Session, name: str, form: Form) -> None:
    """Revoke an integration; its live connection is cut.

    \b
    Examples:
      drover integration revoke i-deploy
    """
    content, gone = session.client.both(revoke_integration, IntegrationRef(name=name))
    emit(form, content, lambda: [gone.name], lambda: out(f"{gone.name} revoked"))
