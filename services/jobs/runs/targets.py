"""Asks the resources service which hosts a run is for, page by page, and holds it to one answer."""

from collections.abc import Sequence
from typing import NamedTuple

from contracts import hosts
from contracts.errors import Conflict, Invalid, Unavailable
from contracts.hosts import ResolveTargets, TargetHost, Targets
from contracts.permissions import Scope
from runtime.bus import Bus
from services.jobs.runs.model import Target

PAGE = 1000
MOST_HOSTS = 50_000
MOST_WAVE_BYTES = 14 * 1024 * 1024
"""A wave is one document, and those end at 16 MiB."""

TURNS = 3


class Chosen(NamedTuple):
    """Frozen hosts, sorted by id."""

    hosts: list[Target]
    hash: str
    businesses: tuple[str, ...]


async def resolve(bus: Bus, targets: Targets, expect_hash: str, within: Sequence[Scope]) -> Chosen:
    """Which hosts that is for somebody who may start runs within these scopes.

    Raises Conflict if the set is not the expected one, whatever resources raise, and Invalid if it is empty or too
    large.
    """
    for _ in range(TURNS):
        found = await _whole(bus, targets, within)
        if found is not None:
            break
    else:
        raise Unavailable("targets.changed", "The set of hosts changed each time it was read. Try again.")
    if expect_hash and expect_hash != found.hash:
        raise Conflict(
            "targets.changed",
            f"The targets are {len(found.hosts)} hosts now and not the set that was expected. Look at them again.",
            {"hash": found.hash, "hosts": len(found.hosts)},
        )
    return found


async def _whole(bus: Bus, targets: Targets, within: Sequence[Scope]) -> Chosen | None:
    """None if the set changed between two pages."""
    chosen: list[Target] = []
    businesses: set[str] = set()
    digest = after = ""
    while True:
        asked = ResolveTargets(targets=targets, after=after, limit=PAGE, scopes=tuple(within))
        page = await bus.call(hosts.resolve_targets, asked)
        if digest and page.hash != digest:
            return None
        digest = page.hash
        chosen += [_target(host) for host in page.hosts]
        businesses |= {host.business for host in page.hosts}
        if not chosen:
            raise Invalid("targets.empty", "No host fits the targets, so nothing was started.")
        _check_size(chosen, max(page.total, len(chosen)))
        after = page.next
        if not after:
            return Chosen(sorted(chosen, key=lambda target: target.id), digest, tuple(sorted(businesses)))


def _target(host: TargetHost) -> Target:
    return Target(id=host.id, idc=host.idc, ip=host.ip, hostname=host.hostname[:255], box_key=host.box_key)


def _check_size(chosen: list[Target], total: int) -> None:
    size = sum(len(each.hostname.encode()) + len(each.ip) + 160 for each in chosen)
    if total > MOST_HOSTS or size > MOST_WAVE_BYTES:
        raise Invalid("targets.too_many", f"{total} hosts are more than one run takes ({MOST_HOSTS}). Split the run.")
