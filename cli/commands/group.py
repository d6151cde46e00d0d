"""Groups of hosts: which there are, who is in them, and making them."""

from typing import Any

import click
from msgspec import UNSET

from cli.client import typed
from cli.commands.host import host_rows
from cli.display import Form, emit, facts, rows, talk, when
from cli.session import Session, data_options, pass_session
from cli.targets import host_ids
from cli.words import Word
from contracts.groups import (
    ChangeGroup,
    CreateGroup,
    Group,
    GroupKind,
    GroupRef,
    Groups,
    HostsOfGroup,
    ListGroups,
    ListMembers,
    MoveHosts,
    PreviewExpression,
    add_hosts,
    change_group,
    create_group,
    delete_group,
    list_groups,
    list_members,
    preview_expression,
    remove_hosts,
    show_group,
)

HOSTS = "Hosts are named by host name, IP or id, or come from a file or stdin: @FILE, @-."


@click.group("group")
def group_group() -> None:
    """Groups of hosts, made by hand or by an expression."""


@group_group.command("list")
@click.option("--search", default="", help="Only groups whose name begins with this.")
@click.option("--tag", multiple=True, help="Only groups with this tag; of several, any one will do.")
@click.option("--kind", multiple=True, type=Word(GroupKind), help="Only groups of this kind; repeatable.")
@data_options
@pass_session
def list_(session: Session, /, form: Form, **given: Any) -> None:
    """List groups, all of them.

    \b
    Examples:
      drover group list
      drover group list --kind custom --tag frontend
      drover group list --search web -o name
    """
    request = ListGroups(search=given["search"], tags=given["tag"], kinds=given["kind"], limit=1000)
    content = session.client.all_pages(list_groups, request)
    found = typed(content, Groups).groups

    def table() -> None:
        rows(
            ("NAME", "KIND", "NUMBER", "MEMBERS ARE", "TAGS"),
            [(g.name, g.kind, str(g.number), _definition(g), ",".join(g.tags)) for g in found],
        )

    emit(form, content, lambda: [each.name for each in found], table)


@group_group.command("show")
@click.argument("name")
@data_options
@pass_session
def show(session: Session, name: str, form: Form) -> None:
    """Show how a group is defined.

    \b
    Examples:
      drover group show web
      drover group show idc:js -o json
    """
    content, found = session.client.both(show_group, GroupRef(name=name))
    _emit(form, content, found)


@group_group.command("members")
@click.argument("name")
@data_options
@pass_session
def members(session: Session, name: str, form: Form) -> None:
    """List the hosts that are in a group at this moment.

    \b
    Examples:
      drover group members web
      drover group members idc:js -o name | drover x 'uptime' -t @-
    """
    content = session.client.all_pages(list_members, ListMembers(name=name, limit=500))
    hosts = typed(content, HostsOfGroup).hosts
    emit(form, content, lambda: [each.id for each in hosts], lambda: host_rows(hosts))


@group_group.command("preview")
@click.argument("expression")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 500), help="Show so many of the hosts.")
@data_options
@pass_session
def preview(session: Session, expression: str, limit: int, form: Form) -> None:
    """Show which hosts an expression would choose: the first of them, and how many there are.

    \b
    Examples:
      drover group preview 'tag = web and idc in (js, bj)'
      drover group preview 'memory >= 64GiB and not group("db")'
    """
    content, found = session.client.both(preview_expression, PreviewExpression(expression=expression, limit=limit))
    emit(form, content, lambda: [each.id for each in found.hosts], lambda: host_rows(found.hosts))
    talk(f"{found.total} hosts fit" + (f", {len(found.hosts)} of them shown" if found.next else ""))


@group_group.command("create")
@click.argument("name")
@click.option("--where", default="", metavar="EXPRESSION", help="Dynamic: members are the hosts that fit.")
@click.option("--host", "hosts", multiple=True, help="Static: put this host in; repeatable, or @FILE.")
@click.option("--group", "groups", multiple=True, help="Static: members of this group are members too; repeatable.")
@click.option("--number", default=100, show_default=True, help="Of two groups' variables those of the greater win.")
@click.option("--tag", "tags", multiple=True, help="To find it by; repeatable.")
@click.option("--description", default="", help="What it is for.")
@data_options
@pass_session
def create(session: Session, /, name: str, form: Form, **given: Any) -> None:
    """Make a group: dynamic with --where, else static.

    \b
    Examples:
      drover group create web --where 'tag = web and state = in_service'
      drover group create canary --host web1,web2 --number 200
      drover group create frontend --group web --group cache --tag edge
    """
    request = CreateGroup(
        name=name,
        expression=given["where"],
        hosts=host_ids(session.client, given["hosts"]),
        groups=given["groups"],
        number=given["number"],
        tags=given["tags"],
        description=given["description"],
    )
    content, made = session.client.both(create_group, request)
    _emit(form, content, made)


@group_group.command("change")
@click.argument("name")
@click.option("--where", metavar="EXPRESSION", help="Another expression.")
@click.option("--group", "groups", multiple=True, help="From now on these groups are nested in it; repeatable.")
@click.option("--no-groups", is_flag=True, help="No group is nested in it any more.")
@click.option("--number", type=int, help="Another number.")
@click.option("--tag", "tags", multiple=True, help="From now on these tags; repeatable.")
@click.option("--no-tags", is_flag=True, help="No tags any more.")
@click.option("--description", help="Another description.")
@click.option("--revision", type=int, help="Refuse if the group has another revision by now.")
@data_options
@pass_session
def change(session: Session, /, name: str, form: Form, **given: Any) -> None:
    """Change a group. What is not named stays.

    \b
    Examples:
      drover group change web --where 'tag = web and not tag = retiring'
      drover group change canary --number 300 --revision 4
    """
    if (given["groups"] and given["no_groups"]) or (given["tags"] and given["no_tags"]):
        raise click.UsageError("name groups or tags, or none of them, not both")
    request = ChangeGroup(
        name=name,
        revision=given["revision"],
        expression=_said(given["where"]),
        groups=() if given["no_groups"] else given["groups"] or UNSET,
        number=_said(given["number"]),
        tags=() if given["no_tags"] else given["tags"] or UNSET,
        description=_said(given["description"]),
    )
    content, changed = session.client.both(change_group, request)
    _emit(form, content, changed)


@group_group.command("add", epilog=HOSTS)
@click.argument("name")
@click.argument("hosts", nargs=-1, required=True)
@data_options
@pass_session
def add(session: Session, name: str, hosts: tuple[str, ...], form: Form) -> None:
    """Put hosts into a static group.

    \b
    Examples:
      drover group add canary web3 10.0.0.7
      drover host list --where 'labels.canary = yes' -o name | drover group add canary @-
    """
    request = MoveHosts(name=name, hosts=host_ids(session.client, hosts))
    content, changed = session.client.both(add_hosts, request)
    _emit(form, content, changed)


@group_group.command("remove", epilog=HOSTS)
@click.argument("name")
@click.argument("hosts", nargs=-1, required=True)
@data_options
@pass_session
def remove(session: Session, name: str, hosts: tuple[str, ...], form: Form) -> None:
    """Take hosts out of a static group.

    \b
    Examples:
      drover group remove canary web3
      drover group remove canary @hosts.txt
    """
    request = MoveHosts(name=name, hosts=host_ids(session.client, hosts))
    content, changed = session.client.both(remove_hosts, request)
    _emit(form, content, changed)


@group_group.command("delete")
@click.argument("name")
@data_options
@pass_session
def delete(session: Session, name: str, form: Form) -> None:
    """Delete a group that no other group uses. Its hosts stay.

    \b
    Examples:
      drover group delete old
    """
    content, gone = session.client.both(delete_group, GroupRef(name=name))
    emit(form, content, lambda: [gone.name], lambda: facts([("deleted", gone.name)]))


def _said(value: Any) -> Any:
    return UNSET if value is None else value


def _definition(group: Group) -> str:
    if group.kind is not GroupKind.CUSTOM:
        return group.description
    if group.expression:
        return group.expression
    return " ".join(("hosts put in", *(f"+ {name}" for name in group.groups)))


def _emit(form: Form, content: Any, group: Group) -> None:
    def table() -> None:
        facts(
            [
                ("name", group.name),
                ("kind", group.kind),
                ("number", str(group.number) if group.revision else ""),
                ("description", group.description),
                ("where", group.expression),
                ("groups", "\n".join(group.groups)),
                ("tags", ", ".join(group.tags)),
                ("changed", f"{when(group.changed_at)} by {group.changed_by}" if group.changed_by else ""),
                ("revision", str(group.revision or "")),
            ]
        )

    emit(form, content, lambda: [group.name], table)
