"""People: who they are, and which roles they have."""

from typing import TypeVar

import click

from cli.client import typed
from cli.display import Form, emit, facts, rows, talk, when
from cli.passwords import asked
from cli.session import Session, data_options, pass_session
from contracts.kinds import Call
from contracts.people import (
    ChangePerson,
    CreatePerson,
    DisablePerson,
    EnablePerson,
    ListPeople,
    People,
    Person,
    PersonRef,
    SetPassword,
    change_person,
    create_person,
    disable_person,
    enable_person,
    list_people,
    set_password,
    show_person,
)
from contracts.sessions import LiftLockout, lift_lockout

Q = TypeVar("Q")

role_option = click.option("--role", multiple=True, help="A role they have, built-in or custom; repeatable.")


@click.group("person")
def person_group() -> None:
    """People and their roles; for admins."""


@person_group.command("list")
@data_options
@pass_session
def list_(session: Session, form: Form) -> None:
    """List people.

    \b
    Examples:
      drover person list
      drover person list -o name
    """
    content = session.client.all_pages(list_people, ListPeople(limit=500))
    found = typed(content, People).people

    def table() -> None:
        rows(
            ("NAME", "ROLES", "STATE", "CREATED"),
            [(each.name, ",".join(each.roles), _state(each), when(each.created_at)) for each in found],
        )

    emit(form, content, lambda: [each.name for each in found], table)


def _state(person: Person) -> str:
    return "disabled" if person.disabled else "enabled"


@person_group.command("show")
@click.argument("name")
@data_options
@pass_session
def show_(session: Session, name: str, form: Form) -> None:
    """Show a person.

    \b
    Examples:
      drover person show kim
    """
    _do(session, form, show_person, PersonRef(name=name))


@person_group.command("create")
@click.argument("name")
@role_option
@data_options
@pass_session
def create(session: Session, name: str, role: tuple[str, ...], form: Form) -> None:
    """Add a person. The password is asked for at a terminal, or read from stdin.

    \b
    Examples:
      drover person create kim --role operator
      drover person create kim --role shop-operator < password.txt
    """
    password = asked("Their password", twice=True)
    _do(session, form, create_person, CreatePerson(name=name, password=password, roles=role))


@person_group.command("change")
@click.argument("name")
@click.option("--role", multiple=True, required=True, help="A role they have from now on, instead of all; repeatable.")
@click.option("--revision", type=int, help="Refuse if somebody changed the person after this revision.")
@data_options
@pass_session
def change(session: Session, name: str, role: tuple[str, ...], revision: int | None, form: Form) -> None:
    """Change a person's roles. They count from the next request on.

    \b
    Examples:
      drover person change kim --role viewer --role shop-operator
      drover person change kim --role viewer --revision 4
    """
    _do(session, form, change_person, ChangePerson(name=name, roles=role, revision=revision))


@person_group.command("disable")
@click.argument("name")
@data_options
@pass_session
def disable(session: Session, name: str, form: Form) -> None:
    """Disable a person; their sessions and tokens end at once.

    \b
    Examples:
      drover person disable kim
    """
    _do(session, form, disable_person, DisablePerson(name=name))


@person_group.command("enable")
@click.argument("name")
@data_options
@pass_session
def enable(session: Session, name: str, form: Form) -> None:
    """Let a disabled person log in again.

    \b
    Examples:
      drover person enable kim
    """
    _do(session, form, enable_person, EnablePerson(name=name))


@person_group.command("password")
@click.argument("name")
@data_options
@pass_session
def password(session: Session, name: str, form: Form) -> None:
    """Give a person a new password; their sessions and tokens end at once. Your own: drover password.

    \b
    Examples:
      drover person password kim
      drover person password kim < password.txt
    """
    _do(session, form, set_password, SetPassword(name=name, password=asked("Their password", twice=True)))


@person_group.command("unlock")
@click.argument("name", default="")
@click.option("--address", default="", help="Forget the failed logins from this address, too.")
@data_options
@pass_session
def unlock(session: Session, name: str, address: str, form: Form) -> None:
    """Let somebody try again at once who failed to log in too often.

    \b
    Examples:
      drover person unlock kim
      drover person unlock --address 10.0.0.7
    """
    content, lifted = session.client.both(lift_lockout, LiftLockout(name=name, address=address))
    emit(form, content, lambda: [name or address], lambda: talk(f"{lifted.forgotten} failed logins forgotten"))


def _do(session: Session, form: Form, call: Call[Q, Person], request: Q) -> None:
    content, found = session.client.both(call, request)

    def table() -> None:
        facts(
            [
                ("name", found.name),
                ("roles", ", ".join(found.roles)),
                ("state", _state(found)),
                ("created", when(found.created_at)),
                ("revision", str(found.revision)),
                ("changed", f"{when(found.changed_at)} by {found.changed_by}"),
            ]
        )

    emit(form, content, lambda: [found.name], table)
