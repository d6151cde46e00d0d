"""A run on 10,000 simulated hosts, against bare NATS round trips and bare inserts.

The hosts do everything of an agent's talk (verify the grant, acknowledge, publish a report with an acknowledgement)
and execute nothing. The limit is 10,000 messages and their answers over the same connections, and then 10,000
documents inserted with majority and journal.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.write_concern import WriteConcern

from bench import cpu, hosts
from bench.children import Child, child
from bench.documents import outcome
from bench.fleet import all_freed, known
from bench.hosts import Minted
from bench.installation import IDCS, Installation, installation
from bench.plane_agents import BARE
from bench.rounds import Figure, finish, ratio, screen, show, verdict
from bench.running import Workplace, options, run
from bench.runs import Stored, hearing, timed_run
from contracts import subjects
from runtime.bus import Bus, Message

AIM = 3.0
PROCESSES = 4
LONGEST_S = 1500
CONNECTED_S = 600
BARE_S = 120
COMMAND = b"c" * 700
"""About what a command weighs with its grant and signature."""
SLICE = 25
INSERTED_AT_ONCE = 500
INSERTS_AT_ONCE = 4


@dataclass(frozen=True)
class Herd:
    made: Installation
    processes: list[Child]
    minted: list[Minted]
    stored: Stored
    bus: Bus
    """As jobs has it, for the bare round trips."""

    def parts(self) -> dict[str, list[int]]:
        return {"simulated agents": [each.pid for each in self.processes], **self.made.parts()}


@dataclass(frozen=True)
class Round:
    nats_s: float
    insert_s: float
    wall_s: float
    ms: dict[str, float]
    """Part → milliseconds of CPU per task."""
    bare_ms: float
    """What the NATS servers used for a bare round trip."""

    @property
    def limit_s(self) -> float:
        return self.nats_s + self.insert_s


async def measure(place: Workplace, count: int, rounds: int) -> None:
    async with installation(place) as made, herd(made, count) as many:
        await one(many)
        found = []
        for number in range(rounds):
            found.append(await one(many))
            screen.print(f"round {number + 1}: limit {found[-1].limit_s:.3f} s, Drover {found[-1].wall_s:.3f} s")
    report(count, found)


async def one(many: Herd) -> Round:
    count = len(many.minted)
    before = cpu.snapshot(many.parts())
    nats_s = await round_trips(many)
    bare = cpu.since(before, cpu.snapshot(many.parts()))
    insert_s = await inserts(many.made, count)
    before = cpu.snapshot(many.parts())
    timed = await timed_run(many.made, many.stored, count, "echo hi", "hi\n")
    await all_freed(many.processes)
    spent = cpu.since(before, cpu.snapshot(many.parts()))
    ms = {part: 1000 * each.own / count for part, each in spent.items()}
    return Round(nats_s, insert_s, timed.wall_s, ms, 1000 * (bare["hub"].own + bare["leaves"].own) / count)


async def round_trips(many: Herd) -> float:
    """Seconds until every host was sent a message and has answered it."""
    connection, answered, all_in = many.bus.connection, 0, asyncio.Event()

    async def heard(_: Message) -> None:
        nonlocal answered
        answered += 1
        if answered == len(many.minted):
            all_in.set()

    listening = await connection.subscribe(subjects.ack(subjects.ANY, subjects.ANY, BARE), heard)
    await connection.flush()
    try:
        started = time.perf_counter()
        for number, host in enumerate(many.minted):
            await connection.publish(subjects.inbox(host.idc, host.id, BARE), COMMAND)
            if number % SLICE == 0:
                await asyncio.sleep(0)
        await asyncio.wait_for(all_in.wait(), BARE_S)
        return time.perf_counter() - started
    finally:
        await connection.unsubscribe(listening)


async def inserts(made: Installation, count: int) -> float:
    """Seconds until so many reports are in MongoDB with majority and journal, when nothing else is to be done."""
    client: Any = AsyncIOMotorClient(made.mongo.url)
    collection = client["bench"].get_collection("bare", write_concern=WriteConcern("majority", j=True))
    documents = [outcome(number) for number in range(count)]
    batches = [documents[start : start + INSERTED_AT_ONCE] for start in range(0, count, INSERTED_AT_ONCE)]
    try:
        await collection.insert_one({"_id": "connected"})
        slots = asyncio.Semaphore(INSERTS_AT_ONCE)

        async def insert(batch: list[dict[str, Any]]) -> None:
            async with slots:
                await collection.insert_many(batch, ordered=False)

        started = time.perf_counter()
        await asyncio.gather(*(insert(batch) for batch in batches))
        return time.perf_counter() - started
    finally:
        await collection.drop()
        client.close()


@contextlib.asynccontextmanager
async def herd(made: Installation, count: int) -> AsyncIterator[Herd]:
    """Simulated hosts, connected and known."""
    trust = made.nats.trust
    minted = hosts.mint(trust, count, IDCS)
    credentials = made.place.memory / "credentials"
    credentials.mkdir()
    for host in minted:
        (credentials / host.id).write_text(host.credentials)
    await hosts.enter(made.database("resources"), minted)
    keys = msgspec.json.decode(trust.command_keys.read_bytes())
    async with contextlib.AsyncExitStack() as stack:
        log = made.place.disk / "agents.log"
        processes = [await stack.enter_async_context(child("bench.plane_agents", log)) for _ in range(PROCESSES)]
        began = time.perf_counter()
        for number, each in enumerate(processes):
            own = [(host.id, host.idc, made.nats.leaf_urls[host.idc]) for host in minted[number::PROCESSES]]
            await each.tell(hosts=own, credentials=str(credentials), ca=str(trust.ca), keys=keys)
        async with asyncio.timeout(CONNECTED_S):
            connected = sum([(await each.answer())["connected"] for each in processes])
        screen.print(f"{connected} simulated agents connected in {time.perf_counter() - began:.1f} s")
        await known(made, count)
        stored = await stack.enter_async_context(hearing(made))
        bus = Bus.of_service("jobs", servers=(made.nats.hub_url,), credentials=trust.credentials("jobs"), ca=trust.ca)
        await stack.enter_async_context(bus)
        yield Herd(made, processes, minted, stored, bus)


def report(count: int, found: list[Round]) -> None:
    nats, insert = Figure([each.nats_s for each in found]), Figure([each.insert_s for each in found])
    limit, wall = Figure([each.limit_s for each in found]), Figure([each.wall_s for each in found])
    ratios = ratio(wall.values, limit.values)
    parts = {part: Figure([each.ms[part] for each in found]) for part in found[0].ms}
    bare = Figure([each.bare_ms for each in found])
    show(
        f"plane: a run on {count} simulated agents in {PROCESSES} processes, {len(found)} rounds",
        [
            ("limit: bare NATS round trips", nats.text(" s"), ""),
            ("  CPU of hub and leaves for one", bare.text(" ms"), ""),
            ("limit: bare inserts, majority and journal", insert.text(" s"), ""),
            ("limit", limit.text(" s"), ""),
            ("HTTP request to last report in MongoDB", wall.text(" s"), ""),
            ("ratio", ratios.text(), verdict(ratios.median, AIM)),
            *((f"  CPU per task: {part}", figure.text(" ms"), "") for part, figure in parts.items()),
        ],
        ["Simulated agents keep their credentials on /dev/shm and nothing else. mongod and NATS use the disk."],
    )
    figures = {"agents": count, "nats_s": nats, "insert_s": insert, "limit_s": limit, "wall_s": wall}
    figures["nats_cpu_ms"] = bare
    names = {part: part.replace(" ", "_") for part in parts}
    finish("plane", ratios, AIM, figures | {f"cpu_ms_{names[part]}": figure for part, figure in parts.items()})


def main(words: list[str] | None = None) -> None:
    given = options("A run on many simulated hosts.", agents=10_000).parse_args(words)
    run(lambda place: measure(place, given.agents, given.rounds), longest_s=LONGEST_S)


if __name__ == "__main__":
    main()
