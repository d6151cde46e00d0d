"""What people may make of groups. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from contracts.errors import Conflict, Invalid, NotFound
from contracts.groups import ChangeGroup, CreateGroup, Group, GroupKind, ListGroups
from contracts.permissions import Scope
from runtime.revisions import KEPT, Fields, moved_on, step
from services.resources.groups.catalogue import Catalogue, Stored
from services.resources.groups.names import RESERVED
from services.resources.hosts.model import ordered
from services.resources.hosts.visibility import sees_group

MOST_GROUPS = 10_000
_SHOWN = 10
_LISTED = 1000


def created(request: CreateGroup, catalogue: Catalogue) -> Group:
    """Raises Conflict and Invalid."""
    if request.name in RESERVED:
        raise Invalid("group.reserved", f"No group can be called {request.name}: Drover uses that name itself.")
    if request.name in catalogue:
        raise Conflict("group.exists", f"There is a group {request.name} already.")
    if len(catalogue) >= MOST_GROUPS:
        raise Invalid("group.too_many", f"There are {MOST_GROUPS} groups, the most there can be. Delete some.")
    group = Group(
        name=request.name,
        kind=GroupKind.CUSTOM,
        number=request.number,
        description=request.description,
        tags=ordered(request.tags),
        expression=request.expression,
        groups=ordered(request.groups),
    )
    _refuse_mixture(group, bool(request.hosts))
    return group


def changed(group: Group, request: ChangeGroup) -> Group:
    """The group after the change, with its old revision. Raises Invalid."""
    _refuse_other_form(group, request)
    after = msgspec.structs.replace(
        group,
        number=group.number if request.number is UNSET else request.number,
        description=group.description if request.description is UNSET else request.description,
        tags=group.tags if request.tags is UNSET else ordered(request.tags),
        expression=group.expression if request.expression is UNSET else request.expression,
        groups=group.groups if request.groups is UNSET else ordered(request.groups),
    )
    _refuse_mixture(after, False)
    return after


def stored(catalogue: Catalogue, name: str) -> Stored:
    """The group, which people may change. Raises NotFound and Invalid."""
    found = catalogue.stored(name)
    if found is None and name in catalogue:
        raise Invalid("group.reserved", f"The group {name} exists by itself; nobody can change it.")
    if found is None:
        raise unknown(name)
    return found


def refuse_changed(stored: Stored, seen: int | None) -> None:
    """Raises Conflict if somebody looked at another revision than the group has now."""
    group = stored.group
    if seen is not None and seen != group.revision:
        what = f"the group {group.name}"
        raise moved_on(seen, _plain(group), entered(group), stored.past, "group.changed_meanwhile", what)


def signed(stored: Stored, were: Fields, by: str, at: datetime) -> Stored:
    """The next revision, with the name of whoever made it; it remembers what `were` the changed fields before."""
    revision = stored.group.revision + 1
    group = msgspec.structs.replace(stored.group, revision=revision, changed_by=by, changed_at=at)
    past = (*stored.past, step(_plain(group), were)) if revision > 1 else ()
    return replace(stored, group=group, past=past[-KEPT:])


def entered(group: Group) -> Fields:
    """What people say of it."""
    return {
        "number": group.number,
        "description": group.description,
        "tags": list(group.tags),
        "expression": group.expression,
        "groups": list(group.groups),
    }


def _plain(group: Group) -> dict[str, Any]:
    return msgspec.structs.asdict(group)


def refuse_dynamic(group: Group) -> None:
    """Raises Invalid for a group into which no host can be put."""
    if group.expression:
        raise Invalid(
            "group.dynamic",
            f"{group.name} is dynamic: its expression decides who is in it. Make a static group that names it and"
            " put the hosts there.",
        )


def refuse_cycle(group: Group, uses: Iterable[str], catalogue: Catalogue) -> None:
    """Raises Invalid."""
    if way := catalogue.cycle(group.name, uses):
        raise Invalid(
            "group.cycle", f"The group would contain itself: {' → '.join(way)}. Nothing was changed.", {"path": way}
        )


def refuse_used(name: str, users: Sequence[str]) -> None:
    """Raises Conflict if anything uses this group."""
    if users:
        raise Conflict(
            "group.in_use",
            f"{name} is used by {_some(users)}. Take it out of them first.",
            {"uses": list(users)},
        )


def refuse_unknown(groups: Sequence[str]) -> None:
    """Raises Invalid if there is any."""
    if groups:
        raise Invalid(
            "group.unknown_member",
            f"There is no group {_some(groups)}. Nothing was done; see the list of groups.",
            {"unknown": list(groups[:_LISTED])},
        )


def refuse_unknown_hosts(hosts: Sequence[str]) -> None:
    """Raises Invalid if there is any."""
    if hosts:
        raise Invalid(
            "group.unknown_host",
            f"There is no host {_some(hosts)}. Revoked and retired hosts do not count. Nothing was done.",
            {"unknown": list(hosts[:_LISTED]), "count": len(hosts)},
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(name[:100] for name in names[:_SHOWN]) + more


def seen(catalogue: Catalogue, scopes: Sequence[Scope], name: str) -> Group:
    """Raises NotFound if there is no such group, or none in the scopes."""
    group = catalogue.get(name)
    if group is None or not sees_group(scopes, name):
        raise unknown(name)
    return group


def unknown(name: str) -> NotFound:
    return NotFound("group.unknown", f"There is no group {name}.")


def page(groups: Sequence[Group], request: ListGroups) -> list[Group]:
    """Of groups sorted by name those that fit, up to one more than asked for."""
    low, found = request.search.lower(), list[Group]()
    for group in groups:
        if group.name > request.after and group.name.lower().startswith(low) and _fits(group, request):
            found.append(group)
            if len(found) > request.limit:
                break
    return found


def _fits(group: Group, request: ListGroups) -> bool:
    return (not request.kinds or group.kind in request.kinds) and (
        not request.tags or not set(request.tags).isdisjoint(group.tags)
    )


def _refuse_mixture(group: Group, with_hosts: bool) -> None:
    if group.expression and (group.groups or with_hosts):
        raise Invalid(
            "group.dynamic",
            'A group has either an expression or hosts and groups. In an expression, group("name") names another.',
        )


def _refuse_other_form(group: Group, request: ChangeGroup) -> None:
    becomes = group.expression if request.expression is UNSET else request.expression
    if bool(becomes) != bool(group.expression):
        raise Invalid(
            "group.dynamic",
            f"{group.name} is {'dynamic' if group.expression else 'static'} and stays so. Make another group.",
        )
