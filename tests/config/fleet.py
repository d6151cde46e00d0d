"""The resources service as this one sees it: hosts and groups that a test lays out, answered on the bus under the real
name and credentials."""

from bisect import bisect_right
from datetime import UTC, datetime

from contracts import groups
from contracts.errors import NotFound
from contracts.groups import Group, GroupKind, GroupsOfHosts, HostGroups, HostsOfGroup, Membership
from contracts.hosts import Host, HostClass, HostFacts, HostState, Presence
from contracts.names import NameKind, NameUses, UnknownName, UnknownNames, unknown_names, uses_of_name
from runtime.bus import answer

ROOM = 400
"""Hosts that one answer of `of_hosts` has room for."""


class Fleet:
    def __init__(self):
        self.hosts = {}
        self.groups = {}
        self.integrations = set()
        self.clear()

    def clear(self):
        self.hosts.clear()
        self.groups.clear()
        self.groups["global"] = Membership(name="global", kind=GroupKind.GLOBAL, number=0), None

    def host(self, id, ip="", idc="js", business="", **facts):
        self.hosts[id] = Host(
            id=id,
            hostname=f"{id}.example",
            ips=(ip,) if ip else (),
            idc=idc,
            host_class=HostClass.PHYSICAL,
            state=HostState.IN_SERVICE,
            business=business,
            product_line="",
            tags=(),
            labels={},
            facts=HostFacts(**facts),
            presence=Presence(),
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            revision=1,
        )
        self.group(f"idc:{idc}", GroupKind.IDC, add=[id])
        return id

    def group(self, name, kind=GroupKind.CUSTOM, number=100, add=()):
        membership = Membership(name=name, kind=kind, number=number if kind is GroupKind.CUSTOM else 0)
        known = self.groups.get(name, (None, set()))[1]
        self.groups[name] = membership, known | set(add)
        return name

    def endpoints(self):
        return [
            answer(groups.show_group, self._show),
            answer(groups.groups_of_hosts, self._of_hosts),
            answer(groups.list_members, self._members),
            answer(unknown_names("resources"), self._unknown),
            answer(uses_of_name("resources"), self._uses),
        ]

    async def _show(self, request, _):
        membership, _ = self._get(request.name)
        return Group(name=membership.name, kind=membership.kind, number=membership.number)

    async def _unknown(self, request, _):
        known = self.integrations if request.kind is NameKind.INTEGRATION else self.groups
        near = tuple(known) if request.near else ()
        missing = [name for name in request.names if name not in known]
        return UnknownNames(unknown=[UnknownName(name=name, near=near) for name in missing])

    async def _uses(self, *_):
        return NameUses(uses=())

    async def _of_hosts(self, request, _):
        known = [id for id in sorted(request.hosts) if id in self.hosts]
        found = [HostGroups(host=self.hosts[id], groups=self._groups_of(id)) for id in known[:ROOM]]
        return GroupsOfHosts(hosts=found, rest=tuple(known[ROOM:]))

    async def _members(self, request, _):
        _, members = self._get(request.name)
        ids = sorted(self.hosts if members is None else members)
        start = bisect_right(ids, request.after)
        page = ids[start : start + request.limit]
        return HostsOfGroup(
            hosts=[self.hosts[id] for id in page],
            total=None if request.after else len(ids),
            next=page[-1] if start + request.limit < len(ids) else "",
        )

    def _groups_of(self, id):
        found = [group for group, members in self.groups.values() if members is None or id in members]
        return sorted(found, key=lambda group: (list(GroupKind).index(group.kind), group.number, group.name))

    def _get(self, name):
        if name not in self.groups:
            raise NotFound("group.unknown", f"There is no group {name}.")
        return self.groups[name]
