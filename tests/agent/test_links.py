"""Results while hub or leaf are frozen, killed or away: late, never lost, never twice. Each test has its own servers."""

import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.states import Outcome
from tests.agent.agent_rig import Dispatcher, Home, dispatcher, make_stream, reached
from tests.servers import NatsPlane, nats_plane, until


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsPlane]:
    async with nats_plane(tmp_path, ("js",)) as plane:
        yield plane


@pytest.fixture
async def jobs(nats: NatsPlane) -> AsyncIterator[Dispatcher]:
    async with dispatcher(nats) as speaking:
        yield speaking


def store_of(folder: Path) -> Path:
    return min(folder.rglob("jetstream"), key=lambda path: len(path.parts))


@pytest.mark.parametrize("server", ["hub", "leaf-js"])
async def test_a_result_made_while_a_server_is_away_arrives_once_it_is_back(
    nats: NatsPlane, jobs: Dispatcher, home: Home, server: str
):
    agent = await home.agent()
    own = await reached(jobs, agent)
    root = agent.parts.kit.folder.root
    task = await jobs.run(own, f"seq 30000; touch {root}/begun; while ! [ -e {root}/go ]; do sleep 0.05; done; exit 3")
    await until((root / "begun").exists, "the script has begun")
    await nats.kill(server)
    (root / "go").touch()
    await until(lambda: agent.parts.kit.counters["delivery_failed"] > 0, "the report cannot be delivered")
    await nats.start(server)
    report = await jobs.report(own, task)
    assert (report.outcome, report.exit_code) == (Outcome.FAILED, 3)
    assert jobs.output(own, task) == "".join(f"{n}\n" for n in range(1, 30001))
    await jobs.frees(own, task, lambda: task not in agent.parts.tasks)


async def test_a_frozen_hub_makes_reports_late_and_not_double(nats: NatsPlane, jobs: Dispatcher, home: Home):
    agent = await home.agent()
    own = await reached(jobs, agent)
    root = agent.parts.kit.folder.root
    tasks = [await jobs.run(own, f"while ! [ -e {root}/go ]; do sleep 0.05; done") for _ in range(3)]
    for task in tasks:
        await jobs.ack(own, task)
    os.kill(nats.servers["hub"].pid, signal.SIGSTOP)
    try:
        (root / "go").touch()
        await until(lambda: agent.parts.kit.counters["delivery_failed"] >= 3, "three deliveries time out")
    finally:
        os.kill(nats.servers["hub"].pid, signal.SIGCONT)
    for task in tasks:
        assert (await jobs.report(own, task)).outcome is Outcome.SUCCEEDED
    for task in tasks:
        await jobs.frees(own, task, lambda task=task: task not in agent.parts.tasks)
    # The stream has seen the id of each message: what was sent twice was taken once.
    assert [len(jobs.reports(own, task)) for task in tasks] == [1, 1, 1]


async def test_what_the_hub_forgot_is_sent_again(nats: NatsPlane, jobs: Dispatcher, home: Home, tmp_path: Path):
    agent = await home.agent(unstored_s=1.0, heartbeat_s=0.5)
    own = await reached(jobs, agent)
    jobs.stores = False
    task = await jobs.run(own, "seq 30000")
    await jobs.report(own, task)
    await nats.kill("hub")
    shutil.rmtree(store_of(tmp_path))
    jobs.forget()
    await nats.start("hub")
    await until(lambda: jobs.bus.connected, "the dispatcher is back")
    jobs.stores = True
    await make_stream(jobs)
    assert (await jobs.report(own, task)).outcome is Outcome.SUCCEEDED
    assert jobs.output(own, task) == "".join(f"{n}\n" for n in range(1, 30001))
    await jobs.frees(own, task, lambda: task not in agent.parts.tasks)


async def test_a_lost_word_that_it_is_stored_is_asked_for_at_the_next_connection(jobs: Dispatcher, home: Home):
    """The stream drops what it had within two minutes, so what is sent anew must not look like it."""
    agent = await home.agent()
    own = await reached(jobs, agent)
    jobs.stores = False
    task = await jobs.run(own, "echo once")
    await jobs.report(own, task)
    jobs.stores = True
    await agent.parts.kit.connection.reconnect()
    await until(lambda: len(jobs.reports(own, task)) == 2, "the report comes anew")
    await until(lambda: task not in agent.parts.tasks, "and is freed")
