"""A script on 1,000 hosts, from the HTTP request to the last report in MongoDB, against bare spawns.

The limit is the same 1,000 commands, spawned by two processes that do nothing else.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import cpu, hosts
from bench.children import Child, child
from bench.cpu import Used
from bench.installation import IDCS, Installation, installation
from bench.rounds import Figure, finish, ratio, screen, show, verdict
from bench.running import Workplace, options, run
from bench.runs import Stored, hearing, timed_run
from bootstrap.servers import NotReady, until

AIM = 2.5
PLANE_AIM_MS = 0.5
PROCESSES = 2
COMMAND = "echo hi"
SCRIPT = f"#!/bin/sh\n{COMMAND}"
"""Without the first line bash would read it, which takes half as long again to start as the limit's sh."""
LONGEST_S = 900
CONNECTED_S = 180
FREED_S = 10
PLANE = ("gateway", "jobs", "resources", "hub", "leaves", "mongod")


@dataclass(frozen=True)
class Fleet:
    made: Installation
    agents: list[Child]
    spawners: list[Path]
    count: int
    stored: Stored

    def parts(self) -> dict[str, list[int]]:
        spawners = [pid for folder in self.spawners for pid in cpu.below(folder, "agent.spawner")]
        return {"agents": [each.pid for each in self.agents], "spawners": spawners, **self.made.parts()}


@dataclass(frozen=True)
class Round:
    limit_s: float
    wall_s: float
    accepted_s: float
    """Until the HTTP request was answered."""
    ms: dict[str, float]
    """Part → milliseconds of CPU per task."""

    @property
    def plane_ms(self) -> float:
        return sum(self.ms[part] for part in PLANE)


async def measure(place: Workplace, count: int, rounds: int) -> None:
    async with installation(place) as made, bare_processes(place) as bare, fleet(made, count) as herd:
        await one(herd, bare)
        found = []
        for number in range(rounds):
            found.append(await one(herd, bare))
            screen.print(f"round {number + 1}: limit {found[-1].limit_s:.3f} s, Drover {found[-1].wall_s:.3f} s")
    report(count, found)


async def one(herd: Fleet, bare: list[Child]) -> Round:
    limit_s = await bare_spawns(bare, herd.count)
    before = cpu.snapshot(herd.parts())
    timed = await timed_run(herd.made, herd.stored, herd.count, SCRIPT, "hi\n")
    await all_freed(herd.agents)
    spent = cpu.since(before, cpu.snapshot(herd.parts()))
    ms = {part: 1000 * seconds / herd.count for part, seconds in _by_part(spent).items()}
    return Round(limit_s, timed.wall_s, timed.accepted_s, ms)


def _by_part(spent: dict[str, Used]) -> dict[str, float]:
    """The spawners' children are the scripts."""
    seconds = {part: each.own for part, each in spent.items()}
    seconds["scripts"] = spent["spawners"].children
    return seconds


async def all_freed(agents: list[Child]) -> None:
    """Agents have freed what is stored: what a run costs is spent. A host that missed the word hears it minutes later,
    and is not waited for."""
    unstored = 0

    async def freed() -> bool:
        nonlocal unstored
        unstored = sum([(await each.ask())["unstored"] for each in agents])
        await asyncio.sleep(0.1)
        return unstored == 0

    try:
        await until(freed, "agents free what is stored", FREED_S)
    except NotReady:
        screen.print(f"{unstored} results are stored and their hosts have not heard of it in {FREED_S} s")


async def bare_spawns(bare: list[Child], count: int) -> float:
    """Seconds that the same commands take two processes that only spawn."""
    started = time.perf_counter()
    share = count // len(bare)
    said = await asyncio.gather(*(each.ask(count=share, script=COMMAND) for each in bare))
    if any(each["output"] != "hi\n" for each in said):
        raise AssertionError("a bare spawn printed something else")
    return time.perf_counter() - started


@contextlib.asynccontextmanager
async def bare_processes(place: Workplace) -> AsyncIterator[list[Child]]:
    async with contextlib.AsyncExitStack() as stack:
        log = place.disk / "bare.log"
        bare = [await stack.enter_async_context(child("bench.bare_spawns", log)) for _ in range(PROCESSES)]
        for each in bare:
            await each.answer()
        yield bare


@contextlib.asynccontextmanager
async def fleet(made: Installation, count: int, **limits: Any) -> AsyncIterator[Fleet]:
    """Real agents in two processes, connected and known."""
    trust, memory = made.nats.trust, made.place.memory
    minted = hosts.mint(trust, count, IDCS)
    roots = []
    for host in minted:
        roots.append(memory / host.id)
        hosts.settle_in(roots[-1], host, trust, [made.nats.leaf_urls[host.idc]])
    await hosts.enter(made.database("resources"), minted)
    spawners = [memory / f"spawner-{number}" for number in range(PROCESSES)]
    async with contextlib.AsyncExitStack() as stack:
        log = made.place.disk / "agents.log"
        agents = [await stack.enter_async_context(child("bench.fleet_agents", log)) for _ in spawners]
        began = time.perf_counter()
        for number, (each, spawner) in enumerate(zip(agents, spawners, strict=True)):
            own = [str(root) for root in roots[number::PROCESSES]]
            await each.tell(roots=own, spawner=str(spawner), limits=limits)
        async with asyncio.timeout(CONNECTED_S):
            connected = sum([(await each.answer())["connected"] for each in agents])
        screen.print(f"{connected} agents connected in {time.perf_counter() - began:.1f} s")
        await known(made, count)
        async with hearing(made) as stored:
            yield Fleet(made, agents, spawners, count, stored)


async def known(made: Installation, count: int) -> None:
    found = made.database("resources")["hosts"]

    async def all_online() -> bool:
        return bool(await found.count_documents({"presence.online": True}) == count)

    await until(all_online, f"{count} hosts are online", CONNECTED_S)


def report(count: int, found: list[Round]) -> None:
    limit, wall = Figure([each.limit_s for each in found]), Figure([each.wall_s for each in found])
    ratios, plane = ratio(wall.values, limit.values), Figure([each.plane_ms for each in found])
    total = Figure([sum(each.ms.values()) for each in found])
    parts = {part: Figure([each.ms[part] for each in found]) for part in found[0].ms}
    show(
        f"fleet: `{COMMAND}` on {count} agents in {PROCESSES} processes, {len(found)} rounds",
        [
            ("limit: bare spawns by two processes", limit.text(" s"), ""),
            ("HTTP request to last report in MongoDB", wall.text(" s"), ""),
            ("  of it until the request was answered", Figure([each.accepted_s for each in found]).text(" s"), ""),
            ("ratio", ratios.text(), verdict(ratios.median, AIM)),
            ("CPU per task, all processes", total.text(" ms"), ""),
            *((f"  {part}", figure.text(" ms"), "") for part, figure in parts.items()),
            ("CPU per task, services + NATS + mongod", plane.text(" ms"), verdict(plane.median, PLANE_AIM_MS)),
        ],
        ["Agents keep their state on /dev/shm: a thousand of them share one disk here. mongod and NATS use the disk."],
    )
    figures = {"agents": count, "limit_s": limit, "wall_s": wall, "cpu_ms_per_task": total, "plane_cpu_ms": plane}
    finish("fleet", ratios, AIM, figures | {f"cpu_ms_{part}": figure for part, figure in parts.items()})


def main(words: list[str] | None = None) -> None:
    given = options(__doc__ or "", agents=1000, rounds=5).parse_args(words)
    run(lambda place: measure(place, given.agents, given.rounds), longest_s=LONGEST_S)


if __name__ == "__main__":
    main()
