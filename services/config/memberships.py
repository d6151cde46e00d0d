"""Hosts and their groups, asked of the resources service in this service's own name; and what lies in a scope."""

from collections.abc import Iterable, Sequence

from contracts import groups
from contracts.errors import NotFound
from contracts.groups import AskGroups, GroupRef, HostGroups, ListMembers
from contracts.hosts import Host
from contracts.permissions import Scope
from runtime.bus import Bus

MOST_ASKED = 1000


class Memberships:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def of_hosts(self, hosts: Iterable[str]) -> list[HostGroups]:
        """Sorted by host; hosts that do not exist are left out."""
        found: list[HostGroups] = []
        asked = sorted(set(hosts))
        for start in range(0, len(asked), MOST_ASKED):
            left: Sequence[str] = asked[start : start + MOST_ASKED]
            while left:
                page = await self._bus.call(groups.groups_of_hosts, AskGroups(hosts=tuple(left)))
                found += page.hosts
                left = page.rest
        return found

    async def of_host(self, host: str) -> HostGroups:
        """Raises NotFound."""
        for found in await self.of_hosts([host]):
            return found
        raise unknown_host(host)

    async def check_group(self, name: str) -> None:
        """Raises NotFound if there is no such group."""
        await self._bus.call(groups.show_group, GroupRef(name=name))

    async def members(self, name: str, at_most: int) -> tuple[int, list[Host]]:
        """How many hosts are in the group, and the first of them by id. Raises NotFound."""
        page = await self._bus.call(groups.list_members, ListMembers(name=name, limit=min(at_most, MOST_ASKED)))
        hosts, total = page.hosts, page.total or 0
        while page.next and len(hosts) < at_most:
            asked = ListMembers(name=name, after=page.next, limit=min(at_most - len(hosts), MOST_ASKED))
            page = await self._bus.call(groups.list_members, asked)
            hosts += page.hosts
        return max(total, len(hosts)), hosts


def unknown_host(host: str) -> NotFound:
    return NotFound("host.unknown", f"There is no host {host}.")


def unknown_group(name: str) -> NotFound:
    return NotFound("group.unknown", f"There is no group {name}.")


def covers_host(scopes: Iterable[Scope], found: HostGroups) -> bool:
    """Whether the host lies in any of the scopes."""
    names = {each.name for each in found.groups}
    return any(
        (scope.businesses is None or found.host.business in scope.businesses)
        and (scope.groups is None or not names.isdisjoint(scope.groups))
        for scope in scopes
    )


def covers_group(scopes: Iterable[Scope], name: str) -> bool:
    """Whether what is said of the whole group is a matter of any of the scopes. A group may hold hosts of any business,
    so that a scope of some businesses covers none."""
    return any(scope.businesses is None and (scope.groups is None or name in scope.groups) for scope in scopes)
