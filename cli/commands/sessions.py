"""Sessions of browsers: where somebody is logged in, and ending that."""

import click

from cli.client import typed
from cli.display import Form, emit, rows, talk, when
from cli.session import Session, data_options, pass_session
from contracts.people import Nothing, PersonRef
from contracts.sessions import (
    ListSessions,
    ListSessionsOf,
    RevokedSessions,
    SessionOf,
    SessionRef,
    Sessions,
    list_sessions,
    list_sessions_of,
    revoke_all_sessions_of,
    revoke_other_sessions,
    revoke_session,
    revoke_session_of,
)


@click.group("session")
def session_group() -> None:
    """Sessions of browsers, yours or, for admins, somebody's. This command line has a token instead."""


@session_group.command("list")
@click.option("--person", help="Somebody else's sessions; for admins.")
@data_options
@pass_session
def list_(session: Session, person: str | None, form: Form) -> None:
    """List sessions that are not over.

    \b
    Examples:
      drover session list
      drover session list --person kim
    """
    if person is None:
        content = session.client.all_pages(list_sessions, ListSessions(limit=500))
    else:
        content = session.client.all_pages(list_sessions_of, ListSessionsOf(name=person, limit=500))
    found = typed(content, Sessions).sessions

    def table() -> None:
        rows(
            ("ID", "PERSON", "BEGAN", "LAST SEEN", "ADDRESS", "BROWSER"),
            [(s.id, s.person, when(s.created_at), when(s.seen_at), s.address, s.user_agent) for s in found],
        )

    emit(form, content, lambda: [each.id for each in found], table)


@session_group.command("revoke")
@click.argument("id", required=False, metavar="[ID]")
@click.option("--all", "every", is_flag=True, help="All of them.")
@click.option("--person", help="Whose they are, if not yours; for admins.")
@data_options
@pass_session
def revoke(session: Session, id: str | None, every: bool, person: str | None, form: Form) -> None:
    """Revoke a session, by its id, or all.

    \b
    Examples:
      drover session revoke s-3e97ea1d54fb
      drover session revoke --all
      drover session revoke --all --person kim
    """
    if every == (id is not None):
        raise click.UsageError("give the id of a session, or --all")
    content, gone = _revoked(session, id, person)
    emit(form, content, lambda: [str(gone.revoked)], lambda: talk(f"{gone.revoked} sessions revoked"))


def _revoked(session: Session, id_: str | None, person: str | None) -> tuple[object, RevokedSessions]:
    both = session.client.both
    if person is None:
        return both(revoke_session, SessionRef(id=id_)) if id_ else both(revoke_other_sessions, Nothing())
    if id_:
        return both(revoke_session_of, SessionOf(name=person, id=id_))
    return both(revoke_all_sessions_of, PersonRef(name=person))
