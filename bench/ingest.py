"""Results from the stream into MongoDB, by one instance of jobs, against a bare pull and bare inserts.

Counted is CPU, of the process that does it and of the servers it uses. The reports are of a real run whose hosts are
away: the instance holds the run, and is held itself (SIGSTOP) while the stream is filled.
"""

import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from bench import cpu, hosts
from bench.children import Child, child
from bench.installation import Installation, installation
from bench.rounds import Figure, finish, ratio, screen, show, verdict
from bench.running import Workplace, options, run
from bench.runs import RUN_S, Stored, hearing
from contracts import subjects
from services.jobs.results.ingest import CONSUMER, STREAM
from services.jobs.results.stored import GATHER_S

AIM = 1.4
IDC = "js"
JOBS = "jobs-1"
LONGEST_S = 900
QUIET_S = 60
HOSTS_MAY_BE_AWAY_S = 3600


@dataclass(frozen=True)
class Bench:
    made: Installation
    ids: list[str]
    filler: Child
    puller: Child
    inserter: Child
    stored: Stored

    @property
    def hub(self) -> int:
        return self.made.nats.servers["hub"].pid

    @property
    def mongod(self) -> int:
        return self.made.mongo.server.pid


@dataclass(frozen=True)
class Round:
    """Microseconds of CPU per result."""

    pull_us: float
    fetch_us: float
    insert_us: float
    jobs_us: float
    hub_us: float
    mongod_us: float
    per_s: float
    """Results that came into MongoDB in a second."""

    @property
    def limit_us(self) -> float:
        return self.pull_us + self.insert_us

    @property
    def all_us(self) -> float:
        return self.jobs_us + self.hub_us + self.mongod_us


async def measure(place: Workplace, count: int, rounds: int) -> None:
    # The instance is held for some seconds in each round, and must not lose its run for that.
    services = ("resources", "config", JOBS, "gateway")
    async with installation(place, services, JOBS_LEASE_S="120") as made, bench(made, count) as everything:
        await one(everything)
        found = []
        for number in range(rounds):
            found.append(await one(everything))
            screen.print(f"round {number + 1}: limit {found[-1].limit_us:.0f} µs, Drover {found[-1].all_us:.0f} µs")
    report(count, found)


async def one(bench: Bench) -> Round:
    """In the beginning jobs is at rest; the bare pull takes from its stream, so it is away meanwhile."""
    await bench.made.stop(JOBS)
    pull_us = await bare_pull(bench, by_fetch=False)
    fetch_us = await bare_pull(bench, by_fetch=True)
    insert_us = await bare_insert(bench)
    await bench.made.start(JOBS)
    return await ingest(bench, pull_us, fetch_us, insert_us)


async def bare_pull(bench: Bench, *, by_fetch: bool) -> float:
    trust, count = bench.made.nats.trust, len(bench.ids)
    task = f"0bare{time.time_ns():x}-0-1-0"
    await bench.filler.ask(count=count, task=task)
    await bench.puller.ask(
        url=bench.made.nats.hub_url,
        ca=str(trust.ca),
        credentials=str(trust.credentials("jobs")),
        inbox=subjects.inbox("jobs"),
        stream=STREAM,
        consumer=CONSUMER,
        count=count,
        by_fetch=by_fetch,
    )
    before = cpu.used(bench.puller.pid) + cpu.used(bench.hub)
    await bench.puller.ask()
    return _us(cpu.used(bench.puller.pid) + cpu.used(bench.hub) - before, count)


async def bare_insert(bench: Bench) -> float:
    count = len(bench.ids)
    await bench.inserter.ask(url=bench.made.mongo.url, count=count)
    before = cpu.used(bench.inserter.pid) + cpu.used(bench.mongod)
    await bench.inserter.ask()
    return _us(cpu.used(bench.inserter.pid) + cpu.used(bench.mongod) - before, count)


async def ingest(bench: Bench, pull_us: float, fetch_us: float, insert_us: float) -> Round:
    count, jobs = len(bench.ids), bench.made.services[JOBS].pid
    run_id = await bench.made.start_run("echo hi", offline_wait_s=HOSTS_MAY_BE_AWAY_S)
    await cpu.quiet(jobs, QUIET_S)  # every host was tried and found to be away
    os.kill(jobs, signal.SIGSTOP)
    try:
        await bench.filler.ask(count=count, task=f"{run_id}-0-1-0")
        parts = {"jobs": [jobs], "hub": [bench.hub], "mongod": [bench.mongod]}
        before = cpu.snapshot(parts)
    finally:
        os.kill(jobs, signal.SIGCONT)
    started = time.perf_counter()
    await bench.stored.all_of(run_id, count, RUN_S)
    took_s = time.perf_counter() - started
    await cpu.quiet(jobs, QUIET_S, for_s=1.5 * GATHER_S)  # hosts are told that long after
    spent = {part: _us(each, count) for part, each in cpu.since(before, cpu.snapshot(parts)).items()}
    return Round(pull_us, fetch_us, insert_us, spent["jobs"], spent["hub"], spent["mongod"], count / took_s)


def _us(used: cpu.Used, count: int) -> float:
    return 1e6 * used.own / count


@contextlib.asynccontextmanager
async def bench(made: Installation, count: int) -> AsyncIterator[Bench]:
    trust = made.nats.trust
    minted = hosts.mint(trust, count, [IDC])
    await hosts.enter(made.database("resources"), minted)
    ids = [host.id for host in minted]
    async with contextlib.AsyncExitStack() as stack:
        log = made.place.disk / "children.log"
        names = ("bench.ingest_reports", "bench.bare_pull", "bench.bare_insert")
        filler, puller, inserter = [await stack.enter_async_context(child(name, log)) for name in names]
        credentials = str(trust.credentials(f"leaf-{IDC}"))
        await filler.ask(url=made.nats.hub_url, ca=str(trust.ca), credentials=credentials, idc=IDC, hosts=ids)
        stored = await stack.enter_async_context(hearing(made))
        yield Bench(made, ids, filler, puller, inserter, stored)


def report(count: int, found: list[Round]) -> None:
    def figure(name: str) -> Figure:
        return Figure([getattr(each, name) for each in found])

    pull, insert, limit, whole = figure("pull_us"), figure("insert_us"), figure("limit_us"), figure("all_us")
    ratios, per_s = ratio(whole.values, limit.values), figure("per_s")
    fetch, by_fetch = figure("fetch_us"), ratio(whole.values, [each.fetch_us + each.insert_us for each in found])
    parts = {name: figure(f"{name}_us") for name in ("jobs", "hub", "mongod")}
    show(
        f"ingest: {count} reports of {count} hosts by one jobs instance, {len(found)} rounds",
        [
            ("limit: bare pull and acknowledgement (with hub)", pull.text(" µs"), ""),
            ("limit: bare insert_many (with mongod)", insert.text(" µs"), ""),
            ("limit, CPU per result", limit.text(" µs"), ""),
            ("Drover, CPU per result", whole.text(" µs"), ""),
            *((f"  {name}", each.text(" µs"), "") for name, each in parts.items()),
            ("ratio", ratios.text(), verdict(ratios.median, AIM)),
            ("bare pull by nats-py's `fetch` (with hub)", fetch.text(" µs"), ""),
            ("ratio, were that the limit", by_fetch.text(), ""),
            ("results per second", per_s.text(), ""),
        ],
        ["No host is simulated here. Each host's `stored` is signed and sent, and counted; nobody hears it."],
    )
    figures = {
        "results": count,
        "pull_us": pull,
        "fetch_us": fetch,
        "ratio_by_fetch": by_fetch,
        "insert_us": insert,
        "limit_us": limit,
        "drover_us": whole,
    }
    named = {f"{name}_us": each for name, each in parts.items()}
    finish("ingest", ratios, AIM, figures | named | {"results_per_s": per_s})


def main(words: list[str] | None = None) -> None:
    parser = options("Results from the stream into MongoDB.", agents=0)
    parser.add_argument("--results", type=int, default=20_000, help="how many reports in each round")
    given = parser.parse_args(words)
    run(lambda place: measure(place, given.results, given.rounds), longest_s=LONGEST_S)


if __name__ == "__main__":
    main()
