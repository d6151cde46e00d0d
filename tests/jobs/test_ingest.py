"""Results on their way into MongoDB: kept once, answered, and nothing of a bad one does harm."""

import re
from datetime import UTC, datetime

import msgspec
import pytest

from contracts import runs, subjects
from contracts.agents import PIECE_BYTES, OutputChunk, Report, Verb
from contracts.runs import ReadOutput
from contracts.states import Outcome, RunState
from runtime.bus.streams import publish
from runtime.mongo import connect
from tests.jobs.rig import rig
from tests.servers import mongod, until

NOW = datetime(2030, 1, 1, tzinfo=UTC)


async def send(agent, task, data):
    subject = subjects.result(agent.idc, agent.host, task)
    await publish(agent.connection, subject, data, message_id=f"{task}.{len(data)}.{hash(data)}")


async def quarantined(jobs, *, why):
    async def there():
        return any(re.search(why, each["why"]) for each in await jobs.documents("quarantine"))

    await until(there, f"quarantine holds what is bad because {why}")


BAD = [
    (b"", "decoded"),
    (b"\xff", "decoded"),
    (b"[" * 3000, "decoded"),
    (b'{"type":"nonsense"}', "decoded"),
    (b'{"type":"report","task":"TASK","outcome":"lost","ended_at":"2030-01-01T00:00:00Z","exit_code":99999999999}', "decoded"),
    (b'{"type":"report","task":"TASK","outcome":"lost","ended_at":"2030-01-01T00:00:00Z","output_bytes":-1}', "decoded"),
    (b'{"type":"report","task":"TASK","outcome":"lost","ended_at":"2030-01-01T00:00:00Z","head":"\\ud800"}', "decoded"),
    (b'{"type":"report","task":"other","outcome":"lost","ended_at":"2030-01-01T00:00:00Z"}', "another task"),
    (b'{"type":"report","task":"TASK","outcome":"lost","ended_at":"0001-01-01T00:00:00+23:59"}', "cannot hold"),
    (msgspec.json.encode(Report(task="TASK", outcome=Outcome.LOST, ended_at=NOW, head="x" * 70_000)), "too large"),
    (msgspec.json.encode(OutputChunk(task="TASK", n=0, offset=0, text="x")), "count from 1"),
    (msgspec.json.encode(OutputChunk(task="TASK", n=1, offset=0, text="x" * (PIECE_BYTES + 1))), "too large"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "why"), BAD, ids=range(len(BAD)))
async def test_what_no_agent_may_send_is_put_aside_and_harms_nothing(jobs, data, why):
    agent = await jobs.agent("h-1", hold=True)
    run = await jobs.start("h-1")
    await jobs.becomes(run, "h-1", "running")
    task = f"{run.id}-0-1-0"

    await send(agent, task, data.replace(b"TASK", task.encode()))

    await quarantined(jobs, why=why)
    assert await jobs.documents("outcomes") == await jobs.documents("output") == []
    agent.finish()
    assert (await jobs.ended(run)).state is RunState.SUCCEEDED


async def test_a_report_is_answered_with_its_receipt_and_one_that_comes_again_with_a_signed_word(jobs):
    agent = await jobs.agent("h-1")
    run = await jobs.start("h-1")
    assert (await jobs.ended(run)).state is RunState.SUCCEEDED
    await until(lambda: not agent.unstored, "the host may free its report")
    assert agent.heard["receipt"] == 1
    assert agent.heard[Verb.STORED] == 0
    assert agent.refused == []

    task = f"{run.id}-0-1-0"
    await send(agent, task, msgspec.json.encode(Report(task=task, outcome=Outcome.SUCCEEDED, ended_at=NOW)))

    await until(lambda: agent.heard[Verb.STORED] == 1, "it is told so that every agent understands it")
    assert agent.heard["receipt"] == 1


async def test_output_is_answered_with_a_signed_word(jobs):
    agent = await jobs.agent("h-1", output="x" * 100_000)
    run = await jobs.start("h-1")
    assert (await jobs.ended(run)).state is RunState.SUCCEEDED
    await until(lambda: not agent.unstored, "the host may free all of it")
    assert agent.heard[Verb.STORED] >= 1


async def test_a_host_cannot_report_for_a_task_that_is_not_its_own(jobs):
    jobs.known("h-3", idc="bj")
    victim, other, third = await jobs.agent("h-1", hold=True), await jobs.agent("h-2"), await jobs.agent("h-3")
    run = await jobs.start("h-1")
    await jobs.becomes(run, "h-1", "running")
    task = f"{run.id}-0-1-0"

    for liar in (other, third):
        await liar.publish(task, 0, Report(task=task, outcome=Outcome.SUCCEEDED, ended_at=NOW))
    await other.publish("nobodys-task", 0, Report(task="nobodys-task", outcome=Outcome.SUCCEEDED, ended_at=NOW))

    await until(lambda: not other.unstored and not third.unstored, "they are answered, so that they stop")
    assert len(await jobs.documents("quarantine")) == 3
    assert await jobs.documents("outcomes") == []
    victim.finish()
    assert (await jobs.ended(run)).counts.succeeded == 1


async def test_a_good_result_beside_bad_ones_is_kept(jobs):
    agent = await jobs.agent("h-1", hold=True)
    run = await jobs.start("h-1")
    await jobs.becomes(run, "h-1", "running")
    task = f"{run.id}-0-1-0"
    for data, _ in BAD:
        await send(agent, task, data.replace(b"TASK", task.encode()) + b" ")
    for n in range(1, 4):
        await agent.publish(task, n, OutputChunk(task=task, n=n, offset=n - 1, text="x"))
    agent.finish()

    assert (await jobs.ended(run)).state is RunState.SUCCEEDED
    await until(lambda: not agent.unstored, "all is stored")
    assert sorted(each["n"] for each in await jobs.documents("output")) == [1, 2, 3]


async def test_a_host_is_answered_once_for_much_that_it_sent(jobs):
    agent = await jobs.agent("h-1", output="x" * 2_000_000)
    run = await jobs.ended(await jobs.start("h-1"))

    await until(lambda: not agent.unstored, "all is stored")
    sent = 1 + len(await jobs.documents("output", host="h-1"))
    assert run.state is RunState.SUCCEEDED
    assert 1 <= agent.heard["stored"] < sent


async def test_an_instance_that_ends_answers_what_it_has_stored(jobs):
    agent = await jobs.agent("h-1")
    run = await jobs.ended(await jobs.start("h-1"))

    for instance in jobs.instances:
        await instance.end()
    await until(lambda: not agent.unstored, "the host was told")
    assert len(await jobs.documents("outcomes", run=run.id)) == 1


async def test_nothing_is_lost_while_mongodb_is_killed(nats, tmp_path):
    async with mongod(tmp_path / "own") as own:
        database = await connect(own.url, "jobs")
        async with rig(nats, own.url, database, tmp_path) as jobs:
            for n in range(10):
                await jobs.agent(f"h-{n}", hold=True, output="x" * 70_000)
            run = await jobs.start()
            await until(lambda: all(agent.started for agent in jobs.agents.values()), "all began")

            await own.kill()
            for agent in jobs.agents.values():
                agent.finish()
            await until(lambda: all(agent.unstored for agent in jobs.agents.values()), "all have reported")
            await own.start()

            ended = await jobs.ended(run)
            assert ended.counts.succeeded == 10
            await until(lambda: not any(agent.unstored for agent in jobs.agents.values()), "all is stored")
            assert len(await jobs.documents("outcomes")) == len(await jobs.documents("output")) == 10
            output = await jobs.ask(runs.read_output, ReadOutput(run=run.id, host="h-1"))
            assert (len(output.text), output.complete) == (70_000, True)
        database.client.close()


async def test_calls_say_that_the_database_is_away(nats, tmp_path):
    async with mongod(tmp_path / "own") as own:
        database = await connect(own.url, "jobs")
        async with rig(nats, own.url, database, tmp_path, instances=1) as jobs:
            await own.kill()
            answer = await jobs.gateway.connection.request(
                "svc.gateway.jobs.runs.show", b'{"run":"x"}', timeout=60,
            )  # fmt: skip
            assert msgspec.json.decode(answer.data)["reason"] == "storage.away"
            await own.start()
        database.client.close()
