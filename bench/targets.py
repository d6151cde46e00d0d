"""Resolving targets of nested groups and exclusions among 100,000 hosts, against the bare query that they come to.

Besides: the effective variables of one host, and a template rendered for 1,000 hosts (bench.filling).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo import MongoClient
from pymongo.read_concern import ReadConcern

from bench import herd
from bench.filling import Filled, Filling, filling
from bench.installation import Installation, installation
from bench.rounds import Figure, finish, ratio, screen, show, verdict
from bench.running import Workplace, options, run
from contracts.hosts import HostFilter, HostState, ResolveTargets, Targets, resolve_targets
from contracts.people import Principal
from contracts.permissions import EVERYTHING, Role
from runtime.bus import Bus
from runtime.mongo import Database
from services.resources.attributes.store import AttributeStore
from services.resources.groups.language import Language
from services.resources.groups.store import GroupStore
from services.resources.targets import model
from services.resources.topology.store import PlaceStore

AIM = 3.0
LONGEST_S = 1500
CALL_S = 60.0
ADMIN = Principal(kind="person", name="bench", roles=(Role.ADMIN,), via="session")


@dataclass(frozen=True)
class Round:
    """Seconds, over all targets."""

    bare_s: float
    first_page_s: float
    all_pages_s: float
    hosts: int
    filled: Filled


async def measure(place: Workplace, hosts: int, groups: int, rounds: int) -> None:
    async with installation(place, ("resources", "config")) as made, _bus(made, "gateway") as bus:
        database = made.database("resources")
        nested = await herd.settle(database, hosts, groups)
        chosen = _targets(nested)
        queries = await _queries(database, chosen)
        with MongoClient[dict[str, Any]](made.mongo.url) as client:
            bare = client["resources"].get_collection("hosts", read_concern=ReadConcern("majority"))
            async with _bus(made, "jobs") as jobs, filling(bus, jobs, client) as more:
                await _round(bus, chosen, queries, bare, more)  # warms up
                found = []
                for number in range(rounds):
                    found.append(await _round(bus, chosen, queries, bare, more))
                    each = found[-1]
                    screen.print(f"round {number + 1}: bare {each.bare_s:.3f} s, Drover {each.first_page_s:.3f} s")
    report(hosts, groups, len(chosen), found)


def _targets(nested: Sequence[str]) -> list[Targets]:
    """Two nested groups, without those of a third, and without what an expression or a state says."""
    exclusions: tuple[dict[str, Any], ...] = (
        {"where": "tag in (t1, t2) or ip in 10.1.0.0/17"},
        {"states": (HostState.STANDBY,)},
        {"where": "memory < 64GiB and not online", "idcs": ("js",)},
        {},
    )
    found = []
    for number in range(0, min(len(nested) - 2, 36), 3):
        excluded = HostFilter(groups=(nested[number + 2],), **exclusions[number // 3 % len(exclusions)])
        found.append(Targets(groups=tuple(nested[number : number + 2]), exclude=excluded))
    return found


async def _queries(database: Database, targets: Sequence[Targets]) -> list[dict[str, object]]:
    catalogue = await GroupStore(database, PlaceStore(database), AttributeStore(database)).catalogue()
    language = Language(catalogue, (EVERYTHING,), datetime.now(UTC))
    return [model.choice(each, language, language.visible()).query() for each in targets]


async def _round(
    bus: Bus, targets: Sequence[Targets], queries: Sequence[dict[str, object]], bare: Any, more: Filling
) -> Round:
    bare_s = first_page_s = all_pages_s = 0.0
    hosts = 0
    for chosen, query in zip(targets, queries, strict=True):
        started = time.perf_counter()
        ids = await asyncio.to_thread(_bare, bare, query)
        queried = time.perf_counter()
        page = await bus.call(resolve_targets, ResolveTargets(targets=chosen), principal=ADMIN, timeout=CALL_S)
        resolved = time.perf_counter()
        assert page.total == len(ids) > 0
        while page.next:
            asked = ResolveTargets(targets=chosen, after=page.next)
            page = await bus.call(resolve_targets, asked, principal=ADMIN, timeout=CALL_S)
        bare_s += queried - started
        first_page_s += resolved - queried
        all_pages_s += time.perf_counter() - queried
        hosts += len(ids)
    return Round(bare_s, first_page_s, all_pages_s, hosts, await more.round())


def _bare(hosts: Any, query: dict[str, object]) -> list[str]:
    found = hosts.find(query, {"_id": 1}).limit(model.MOST + 1)
    return [document["_id"] for document in found]


@contextlib.asynccontextmanager
async def _bus(made: Installation, name: str) -> AsyncIterator[Bus]:
    trust = made.nats.trust
    credentials, ca = trust.credentials(name), trust.ca
    async with Bus.of_service(name, servers=(made.nats.hub_url,), credentials=credentials, ca=ca) as bus:
        yield bus


def report(hosts: int, groups: int, targets: int, found: list[Round]) -> None:
    def per_target(name: str) -> Figure:
        return Figure([getattr(each, name) / targets for each in found])

    bare, first, whole = (per_target(name) for name in ("bare_s", "first_page_s", "all_pages_s"))
    ratios = ratio(first.values, bare.values)
    rows, figures = Filled.told([each.filled for each in found])
    show(
        f"targets: {targets} choices among {hosts} hosts and {groups} groups, {len(found)} rounds",
        [
            ("limit: bare query for the ids of a choice", bare.text(" ms", 1000), ""),
            ("Drover: the choice resolved, with its first 1,000 hosts", first.text(" ms", 1000), ""),
            ("ratio", ratios.text(), verdict(ratios.median, AIM)),
            ("Drover: all pages of the choice", whole.text(" ms", 1000), ""),
            ("hosts in a choice", f"{found[0].hosts / targets:.0f}", ""),
            *rows,
        ],
    )
    sizes = {"hosts": hosts, "groups": groups, "targets": targets, "hosts_per_target": found[0].hosts / targets}
    finish("targets", ratios, AIM, sizes | {"bare_s": bare, "resolve_s": first, "all_pages_s": whole} | figures)


def main(words: list[str] | None = None) -> None:
    parser = options("Targets of nested groups among many hosts.", agents=0, rounds=5)
    parser.add_argument("--hosts", type=int, default=100_000, help="how many hosts there are")
    parser.add_argument("--groups", type=int, default=1000, help="how many groups, half of them dynamic")
    given = parser.parse_args(words)
    run(lambda place: measure(place, given.hosts, given.groups, given.rounds), longest_s=LONGEST_S)


if __name__ == "__main__":
    main()
