"""Asks the config service which OS user a run gets, and tells it which groups the hosts are in if that matters."""

from collections.abc import Collection, Sequence

from contracts.accounts import ResolveAccount, ResolvedAccount, resolve_account
from contracts.errors import Unavailable
from contracts.groups import MOST_AMONG, AskGroups, groups_of_hosts
from contracts.people import Principal
from runtime.bus import Bus

PAGE = 1000


async def ask(bus: Bus, account: str, by: Principal) -> ResolvedAccount:
    """Raises what config raises. Not decided yet if there are `ask_groups`."""
    return await bus.call(resolve_account, ResolveAccount(account=account, principal=by))


async def ask_on(
    bus: Bus, account: str, by: Principal, hosts: Sequence[str], asked: Collection[str]
) -> ResolvedAccount:
    """The same for these hosts, whose membership in the groups `asked` decides."""
    groups = await _groups(bus, hosts, frozenset(asked))
    return await bus.call(resolve_account, ResolveAccount(account=account, principal=by, groups=groups))


async def _groups(bus: Bus, hosts: Sequence[str], asked: frozenset[str]) -> tuple[tuple[str, ...], ...]:
    """The different sets of groups that hosts are in."""
    found: set[tuple[str, ...]] = set()
    among = tuple(sorted(asked)) if len(asked) <= MOST_AMONG else None
    left = list(hosts)
    while left:
        page, left = left[:PAGE], left[PAGE:]
        answer = await bus.call(groups_of_hosts, AskGroups(hosts=tuple(page), among=among))
        if len(answer.rest) == len(page):
            raise Unavailable("bus.no_answer", "The resources service does not say which groups the hosts are in.")
        found |= {tuple(each.name for each in host.groups if each.name in asked) for host in answer.hosts}
        if len(answer.hosts) + len(answer.rest) < len(page):
            found.add(())  # a host that went meanwhile is in no group
        left = [*answer.rest, *left]
    return tuple(sorted(found))
