"""Groups: named sets of hosts, and which hosts are in which. Spoken by the resources service.

The group `global`, one group for each IDC (`idc:js`) and one for each set (`set:blue`) exist by themselves. The others
are made by people, and their names hold no colon, so that no two groups ever share a name.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from contracts.hosts import Host, Limit, Tag, Tags
from contracts.kinds import Call, delete, get, post
from contracts.tokens import END

CustomName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}" + END)]
"""The name of a group that people make."""
GroupName = Annotated[str, Meta(min_length=1, max_length=210)]
"""The name of any group."""
Number = Annotated[int, Meta(ge=0, le=1_000_000)]
Description = Annotated[str, Meta(max_length=2000)]
Members = Annotated[tuple[GroupName, ...], Meta(max_length=500)]
HostIds = Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=10_000)]


class GroupKind(StrEnum):
    """From the lowest precedence to the highest."""

    GLOBAL = "global"
    IDC = "idc"
    SET = "set"
    CUSTOM = "custom"


class Group(Struct, frozen=True, kw_only=True):
    """A dynamic group has an expression, and its members are the hosts that fit it. A static one has the hosts that
    were added to it and, nested, all members of the groups it names."""

    name: str
    kind: GroupKind
    number: int = 0
    """Precedence among custom groups: of two, the one with the greater number wins, then the later name."""
    description: str = ""
    tags: tuple[str, ...] = ()
    expression: str = ""
    groups: tuple[str, ...] = ()
    """Groups whose members are members of this one too."""
    revision: int = 0
    """0 of a group that exists by itself: nobody can change it."""
    changed_by: str = ""
    changed_at: datetime | None = None


class GroupRef(Struct, frozen=True, kw_only=True):
    name: GroupName


class CreateGroup(Struct, frozen=True, kw_only=True):
    """With an expression the group is dynamic, and takes neither hosts nor groups."""

    name: CustomName
    number: Number = 100
    description: Description = ""
    tags: Tags = ()
    expression: str = ""
    groups: Members = ()
    hosts: HostIds = ()


class ChangeGroup(Struct, frozen=True, kw_only=True):
    """Fields left out stay as they are. With `revision` the change is refused if somebody else was faster."""

    name: GroupName
    revision: int | None = None
    number: Number | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    expression: str | UnsetType = UNSET
    groups: Members | UnsetType = UNSET


class MoveHosts(Struct, frozen=True, kw_only=True):
    """Hosts to be put into a static group, or taken out of it. Those that are there, or gone, already stay so."""

    name: GroupName
    hosts: Annotated[HostIds, Meta(min_length=1)]
    revision: int | None = None


class ListGroups(Struct, frozen=True, kw_only=True):
    search: Annotated[str, Meta(max_length=200)] = ""
    """Matches the beginning of a name, without regard to case."""
    tags: tuple[Tag, ...] = ()
    """Of several, any one will do."""
    kinds: tuple[GroupKind, ...] = ()
    after: str = ""
    limit: Limit = 100


class Groups(Struct, frozen=True, kw_only=True):
    """Sorted by name."""

    groups: list[Group]
    next: str = ""


class ListMembers(Struct, frozen=True, kw_only=True):
    name: GroupName
    after: str = ""
    limit: Limit = 100


class PreviewExpression(Struct, frozen=True, kw_only=True):
    expression: str
    limit: Limit = 10


class HostsOfGroup(Struct, frozen=True, kw_only=True):
    """Who is a member at this moment, sorted by id. Retired and revoked hosts are members of nothing."""

    hosts: list[Host]
    total: int | None = None
    """Members on all pages; told on the first one only."""
    next: str = ""


MOST_AMONG = 1000


class AskGroups(Struct, frozen=True, kw_only=True):
    hosts: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(min_length=1, max_length=1000)]
    """Ids. Hosts that do not exist are left out of the answer."""
    among: Annotated[tuple[GroupName, ...], Meta(max_length=MOST_AMONG)] | None = None
    """Only whether they are in these, which takes less time than all groups there are."""


class Membership(Struct, frozen=True, kw_only=True):
    name: str
    kind: GroupKind
    number: int


class HostGroups(Struct, frozen=True, kw_only=True):
    host: Host
    groups: list[Membership]
    """From the lowest precedence to the highest: global, IDC, set, then custom by number and name."""


class GroupsOfHosts(Struct, frozen=True, kw_only=True):
    hosts: list[HostGroups]
    """Sorted by id."""
    rest: tuple[str, ...] = ()
    """Ids for which this message has no room any more: ask for them again."""


list_groups = Call(
    "resources.groups.list",
    ListGroups,
    Groups,
    needs="groups:read",
    http=get("/groups"),
    idempotent=True,
    summary="List groups",
)
show_group = Call(
    "resources.groups.show",
    GroupRef,
    Group,
    needs="groups:read",
    http=get("/groups/{name}"),
    idempotent=True,
    summary="Show a group",
)
create_group = Call(
    "resources.groups.create",
    CreateGroup,
    Group,
    needs="groups:change",
    http=post("/groups", status=201),
    summary="Make a group",
)
change_group = Call(
    "resources.groups.change",
    ChangeGroup,
    Group,
    needs="groups:change",
    http=post("/groups/{name}"),
    summary="Change a group's number, description, tags, expression or nested groups",
)
delete_group = Call(
    "resources.groups.delete",
    GroupRef,
    Group,
    needs="groups:change",
    http=delete("/groups/{name}"),
    summary="Delete a group that nothing uses",
)
add_hosts = Call(
    "resources.groups.add_hosts",
    MoveHosts,
    Group,
    needs="groups:change",
    http=post("/groups/{name}/add-hosts"),
    idempotent=True,
    summary="Put hosts into a static group",
)
remove_hosts = Call(
    "resources.groups.remove_hosts",
    MoveHosts,
    Group,
    needs="groups:change",
    http=post("/groups/{name}/remove-hosts"),
    idempotent=True,
    summary="Take hosts out of a static group",
)
list_members = Call(
    "resources.groups.members",
    ListMembers,
    HostsOfGroup,
    needs="groups:read",
    http=get("/groups/{name}/members"),
    idempotent=True,
    summary="Which hosts are in a group now",
)
preview_expression = Call(
    "resources.groups.preview",
    PreviewExpression,
    HostsOfGroup,
    needs="groups:read",
    http=post("/groups/preview"),
    idempotent=True,
    reads=True,
    summary="Which hosts would an expression choose",
)
groups_of_hosts = Call(
    "resources.groups.of_hosts",
    AskGroups,
    GroupsOfHosts,
    needs="groups:read",
    http=post("/groups/of-hosts"),
    idempotent=True,
    reads=True,
    summary="Which groups are these hosts in",
)
