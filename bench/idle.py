"""An agent at rest, against a bare connected nats-py process: resident memory, and CPU over a minute.

Both run with a Python that has what locks/agent.txt says and no more, in .venv-agent.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from bench import cpu, hosts
from bench.hosts import Minted
from bench.installation import IDCS, PROJECT, Installation, installation
from bench.rounds import Figure, finish, ratio, screen, show, verdict
from bench.running import Workplace, options, run
from bench.runs import Stored, hearing, timed_run
from bootstrap.servers import Server, until
from contracts import subjects

AIM = 1.25
CPU_AIM = 0.1
"""Percent of a core."""
LONGEST_S = 1200
MIB = 1024 * 1024
VENV = PROJECT / ".venv-agent"
LOCK = PROJECT / "locks" / "agent.txt"


class NoAgentVenv(SystemExit):
    """The environment cannot be made; the message is the line that says why."""


@dataclass(frozen=True)
class Round:
    """Bytes, and percent of a core."""

    bare_rss: int
    bare_uss: int
    agent_rss: int
    agent_uss: int
    cpu: float
    worked_rss: int
    """The agent after its first task."""
    spawner_rss: int


async def measure(place: Workplace, rounds: int, rest_s: float) -> None:
    python = await asyncio.to_thread(agent_python)
    async with installation(place) as made, hearing(made) as stored:
        found = []
        for number in range(rounds):
            found.append(await one(made, stored, python, rest_s, number))
            last = found[-1]
            screen.print(f"round {number + 1}: bare {last.bare_rss / MIB:.1f} MB, agent {last.agent_rss / MIB:.1f} MB")
    report(found, rest_s)


async def one(made: Installation, stored: Stored, python: Path, rest_s: float, number: int) -> Round:
    idc = IDCS[0]
    bare_host, host = hosts.mint(made.nats.trust, 2, [idc])
    root = made.place.memory / host.id
    hosts.settle_in(root, host, made.nats.trust, [made.nats.leaf_urls[idc]])
    found = made.database("resources")["hosts"]
    await found.delete_many({})
    await hosts.enter(made.database("resources"), [host])

    async def online() -> bool:
        return bool(await found.count_documents({"presence.online": True}))

    async with bare(made, bare_host, python, number) as bare_pid, agent(made, root, python, number) as agent_pid:
        await until(online, "the agent is online")
        before = cpu.exactly(agent_pid)
        await asyncio.sleep(rest_s)
        percent = 100 * (cpu.exactly(agent_pid) - before) / rest_s
        (bare_rss, bare_uss), (rss, uss) = cpu.resident_bytes(bare_pid), cpu.resident_bytes(agent_pid)
        await timed_run(made, stored, 1, "echo hi", "hi\n")
        [spawner] = cpu.below(root, "agent.spawner")
        worked, _ = cpu.resident_bytes(agent_pid)
        spawner_rss, _ = cpu.resident_bytes(spawner)
        return Round(bare_rss, bare_uss, rss, uss, percent, worked, spawner_rss)


@contextlib.asynccontextmanager
async def bare(made: Installation, host: Minted, python: Path, number: int) -> AsyncIterator[int]:
    credentials = made.place.memory / f"bare-{number}.creds"
    credentials.write_text(host.credentials)
    url, ca, inbox = made.nats.leaf_urls[host.idc], str(made.nats.trust.ca), subjects.inbox(host.idc, host.id)
    words = [str(python), str(PROJECT / "bench" / "bare_connection.py"), url, str(credentials), ca, inbox]
    server = Server("bare", words, made.place.disk / f"bare-{number}.log", environ=_environ())
    async with _running(server) as pid:
        await until(lambda: "connected" in server.tail(), "the bare process is connected")
        yield pid


@contextlib.asynccontextmanager
async def agent(made: Installation, root: Path, python: Path, number: int) -> AsyncIterator[int]:
    words = [str(python), "-m", "agent", "run", "--root", str(root), "--gateway", made.url]
    environ = {**_environ(), "DROVER_AGENT_SPAWNER_IDLE_S": "1"}
    server = Server("agent", words, made.place.disk / f"agent-{number}.log", PROJECT, environ)
    async with _running(server) as pid:
        yield pid
    await until(lambda: not cpu.below(root, "agent.spawner"), "the spawner leaves after its agent")


@contextlib.asynccontextmanager
async def _running(server: Server) -> AsyncIterator[int]:
    server.start()
    try:
        yield server.pid
    finally:
        await server.stop()


def _environ() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}


def agent_python() -> Path:
    """Python of .venv-agent, which is made if it is missing or older than the lock. Raises NoAgentVenv."""
    python, ready = VENV / "bin" / "python", VENV / ".ready"
    if ready.exists() and ready.stat().st_mtime >= LOCK.stat().st_mtime:
        return python
    screen.print(f"making {VENV.name} from {LOCK.relative_to(PROJECT)}")
    install = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    for words in (
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        [*install, "--require-hashes", "-r", str(LOCK)],
    ):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NoAgentVenv(f"{VENV.name} cannot be made: {(done.stderr or done.stdout).strip()[-500:]}")
    ready.touch()
    return python


def report(found: list[Round], rest_s: float) -> None:
    def figure(name: str) -> Figure:
        return Figure([getattr(each, name) for each in found])

    def megabytes(name: str) -> str:
        return figure(name).text(" MB", 1 / MIB)

    ratios = ratio(figure("agent_rss").values, figure("bare_rss").values)
    own = ratio(figure("agent_uss").values, figure("bare_uss").values)
    percent = figure("cpu")
    show(
        f"idle: one agent, connected, after {rest_s:g} s at rest, {len(found)} rounds",
        [
            ("limit: bare connected nats-py, resident", megabytes("bare_rss"), ""),
            ("  of it its own alone", megabytes("bare_uss"), ""),
            ("agent, resident", megabytes("agent_rss"), ""),
            ("  of it its own alone", megabytes("agent_uss"), ""),
            ("ratio", ratios.text(), verdict(ratios.median, AIM)),
            ("ratio of what is their own alone", own.text(), ""),
            ("CPU at rest, of a core", percent.text(" %"), verdict(percent.median, CPU_AIM)),
            ("after its first task: agent", megabytes("worked_rss"), ""),
            ("after its first task: spawner", megabytes("spawner_rss"), ""),
        ],
        ["The agent keeps its state on /dev/shm. Both processes run with what locks/agent.txt says and no more."],
    )
    sizes = ("bare_rss", "bare_uss", "agent_rss", "agent_uss", "worked_rss", "spawner_rss")
    finish("idle", ratios, AIM, {name: figure(name) for name in sizes} | {"cpu_percent": percent, "own_ratio": own})


def main(words: list[str] | None = None) -> None:
    parser = options("An agent at rest.", agents=0)
    parser.add_argument("--rest-s", type=float, default=60.0, help="how long it rests")
    given = parser.parse_args(words)
    run(lambda place: measure(place, given.rounds, given.rest_s), longest_s=LONGEST_S)


if __name__ == "__main__":
    main()
