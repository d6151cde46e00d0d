"""Roles: what their holders may do, and among what."""

from typing import Any

import click
from msgspec import UNSET

from cli import scopes
from cli.client import typed
from cli.display import Form, emit, facts, rows, when
from cli.session import Session, data_options, pass_session
from contracts.permissions import EVERYTHING
from contracts.roles import (
    ChangeRole,
    CreateRole,
    ListRoles,
    RoleDefinition,
    RoleRef,
    Roles,
    change_role,
    create_role,
    delete_role,
    list_roles,
    show_role,
)


@click.group("role")
def role_group() -> None:
    """Roles: permissions and where they hold; for admins."""


@role_group.command("list")
@data_options
@pass_session
def list_(session: Session, form: Form) -> None:
    """List roles, built-in and custom.

    \b
    Examples:
      drover role list
      drover role list -o name
    """
    content = session.client.all_pages(list_roles, ListRoles(limit=500))
    found = typed(content, Roles).roles

    def table() -> None:
        rows(
            ("NAME", "KIND", "PERMISSIONS", "SCOPE", "DESCRIPTION"),
            [(r.name, _kind(r), str(len(r.permissions)), scopes.told(r.scope), r.description) for r in found],
        )

    emit(form, content, lambda: [each.name for each in found], table)


def _kind(role: RoleDefinition) -> str:
    return "built-in" if role.built_in else "custom"


@role_group.command("show")
@click.argument("name")
@data_options
@pass_session
def show_(session: Session, name: str, form: Form) -> None:
    """Show a role with all its permissions.

    \b
    Examples:
      drover role show operator
    """
    content, found = session.client.both(show_role, RoleRef(name=name))
    emit(form, content, lambda: [found.name], lambda: _table(found))


@role_group.command("create")
@click.argument("name")
@click.option("--permission", multiple=True, required=True, help="What it allows, as in the reference; repeatable.")
@scopes.option
@click.option("--description", default="", help="What it is for.")
@data_options
@pass_session
def create(
    session: Session, name: str, permission: tuple[str, ...], scope: tuple[str, ...], description: str, form: Form
) -> None:
    """Define a role.

    \b
    Examples:
      drover role create auditor --permission runs:read --permission hosts:read
      drover role create shop-operator --permission runs:start --permission hosts:read --scope business=shop
    """
    request = CreateRole(name=name, permissions=permission, scope=scopes.read(scope), description=description)
    content, made = session.client.both(create_role, request)
    emit(form, content, lambda: [made.name], lambda: _table(made))


@role_group.command("change")
@click.argument("name")
@click.option("--permission", multiple=True, help="What it allows from now on, instead of all; repeatable.")
@scopes.option
@click.option("--everywhere", is_flag=True, help="Take all bounds away.")
@click.option("--description", help="What it is for.")
@click.option("--revision", type=int, help="Refuse if somebody changed the role after this revision.")
@data_options
@pass_session
def change(session: Session, /, form: Form, **given: Any) -> None:
    """Change a role. It counts from the next request of everybody who has it.

    \b
    Examples:
      drover role change shop-operator --scope business=shop,bank
      drover role change auditor --permission runs:read --revision 3
    """
    if given["everywhere"] and given["scope"]:
        raise click.UsageError("--everywhere and --scope exclude each other")
    scope = EVERYTHING if given["everywhere"] else scopes.read(given["scope"]) if given["scope"] else UNSET
    request = ChangeRole(
        name=given["name"],
        revision=given["revision"],
        permissions=given["permission"] or UNSET,
        scope=scope,
        description=UNSET if given["description"] is None else given["description"],
    )
    content, changed = session.client.both(change_role, request)
    emit(form, content, lambda: [changed.name], lambda: _table(changed))


@role_group.command("delete")
@click.argument("name")
@data_options
@pass_session
def delete(session: Session, name: str, form: Form) -> None:
    """Delete a role that nobody has.

    \b
    Examples:
      drover role delete auditor
    """
    content, gone = session.client.both(delete_role, RoleRef(name=name))
    emit(form, content, lambda: [gone.name], lambda: facts([("deleted", gone.name)]))


def _table(role: RoleDefinition) -> None:
    changed = f"{when(role.changed_at)} by {role.changed_by}" if role.changed_at else ""
    facts(
        [
            ("name", role.name),
            ("kind", _kind(role)),
            ("description", role.description),
            ("permissions", "\n".join(role.permissions)),
            ("scope", scopes.told(role.scope)),
            ("revision", "" if role.built_in else str(role.revision)),
            ("changed", changed),
        ]
    )
