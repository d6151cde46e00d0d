"""Programs that speak NATS: giving them credentials and taking them back."""

import click

from cli.display import Form, emit, out, rows, talk, when
from cli.durations import Duration
from cli.session import Session, data_options, pass_session
from contracts.people import (
    CreateIntegration,
    IntegrationRef,
    Nothing,
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
@data_options
@pass_session
def create(
    session: Session, name: str, calls: tuple[str, ...], events: tuple[str, ...], expires: int, form: Form
) -> None:
    """Give a program NATS credentials for exactly these calls. They are printed this once; the name begins with i-.

    \b
    Examples:
      drover integration create i-deploy --call jobs.runs.start --call jobs.runs.show > deploy.creds
      drover integration create i-watch --call jobs.runs.show --event jobs.run -o json
    """
    request = CreateIntegration(name=name, calls=calls, events=events, expires_in_s=expires)
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
        rows(
            ("NAME", "STATE", "EXPIRES", "CALLS", "EVENTS"),
            [
                (i.name, "revoked" if i.revoked else "good", when(i.expires_at), " ".join(i.calls), " ".join(i.events))
                for i in found.integrations
            ],
        )

    emit(form, content, lambda: [each.name for each in found.integrations], table)


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
