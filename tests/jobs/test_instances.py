"""Several instances: one dies, one is stale, and nothing is done twice or lost."""

import asyncio
import signal
from datetime import UTC, datetime

import pytest
from aiohttp import ClientSession

from contracts import runs
from contracts.agents import TaskState
from contracts.errors import Conflict
from contracts.runs import ListHostResults, Parameter
from contracts.states import Outcome, RunState
from services.jobs.leases.store import LeaseStore
from services.jobs.results.store import NotOwner, OutcomeStore, Verdict
from services.jobs.runs.store import RunStore
from tests.jobs.rig import rig
from tests.servers import until

NOW = datetime(2030, 1, 1, tzinfo=UTC)


async def test_a_killed_instance_loses_its_runs_to_another_and_no_script_starts_twice(nats, mongo, database, tmp_path):
    async with rig(nats, mongo.url, database, tmp_path, instances=0) as jobs:
        for n in range(5):
            await jobs.agent(f"h-{n}", hold=n > 0)
        jobs.known("h-9")
        async with jobs.process() as (process, log):
            run = await jobs.start(
                offline_wait_s=3600, parameters=(Parameter(name="P", value="s3cr3t-value", masked=True),)
            )
            await until(lambda: all(agent.started for agent in jobs.agents.values()), "all began")
            first = (await RunStore(database).get(run.id)).owner
            await jobs.instance()
            process.send_signal(signal.SIGKILL)
            await process.wait()
            assert run.id in log.read_text()
            assert "s3cr3t-value" not in log.read_text()

            async def taken_over():
                return (await RunStore(database).get(run.id)).owner not in {first}

            await until(taken_over, "the run has another owner")
        for agent in jobs.agents.values():
            agent.finish()
        await jobs.becomes(run, "h-1", "succeeded")
        await jobs.agent("h-9")

        ended = await jobs.ended(run)
        assert (ended.state, ended.counts.succeeded) == (RunState.SUCCEEDED, 6)
        assert all(sum(agent.started.values()) == 1 for agent in jobs.agents.values())
        assert all(agent.secrets == {f"{run.id}-0-1-0": {"P": "s3cr3t-value"}} for agent in jobs.agents.values())


async def test_a_stopping_run_is_stopped_by_whoever_takes_it_over(nats, mongo, database, tmp_path):
    async with rig(nats, mongo.url, database, tmp_path, instances=0) as jobs:
        agent = await jobs.agent("h-1", hold=True)
        async with jobs.process() as (process, _):
            run = await jobs.start()
            await until(lambda: bool(agent.started), "it began")
            agent.knobs.mute = True
            await jobs.ask(runs.stop, runs.StopRun(run=run.id))
            process.send_signal(signal.SIGKILL)
            await process.wait()
        agent.knobs.mute = False
        await jobs.instance()

        ended = await jobs.ended(run)
        assert (ended.state, ended.counts.stopped) == (RunState.STOPPED, 1)


async def test_an_instance_that_ends_gives_its_runs_up_at_once(jobs):
    agent = await jobs.agent("h-1", hold=True)
    run = await jobs.start("h-1")
    await jobs.becomes(run, "h-1", "running")
    owner = (await RunStore(jobs.database).get(run.id)).owner
    holder = next(each for each in jobs.instances if each.bus.instance == owner)

    await holder.end()

    assert await LeaseStore(jobs.database).valid([owner]) == set()
    await jobs.becomes(run, "h-1", "running")
    agent.finish()
    assert (await jobs.ended(run)).state is RunState.SUCCEEDED
    assert sum(agent.started.values()) == 1


async def test_a_stale_owner_changes_nothing(jobs):
    await jobs.agent("h-1", hold=True)
    run = await jobs.start("h-1")
    await jobs.becomes(run, "h-1", "running")
    store, outcomes = RunStore(jobs.database), OutcomeStore(jobs.database)
    stale = await store.get(run.id)
    [held] = [each for each in await store.live() if each.id == run.id]
    other = next(each.bus.instance for each in jobs.instances if each.bus.instance != stale.owner)
    assert await store.take(held, other)
    assert not await store.take(held, other), "only one of two takes it"

    with pytest.raises(Conflict):
        await store.move(stale, RunState.FAILED)
    with pytest.raises(NotOwner):
        verdict = Verdict(Outcome.LOST, "task.silent", "")
        await outcomes.conclude(stale, f"{run.id}-0-1-0", {"h-1": verdict}, NOW)
    assert await jobs.documents("outcomes") == []
    assert (await store.get(run.id)).verdicts == 0


async def test_no_verdict_is_given_where_a_report_is_and_only_one_where_two_are_tried(jobs):
    for name in ("h-1", "h-2"):
        await jobs.agent(name, hold=name == "h-2")
    run = await jobs.start("h-1", "h-2")
    task = f"{run.id}-0-1-0"

    async def reported():
        return len(await jobs.documents("outcomes", task=task)) == 1

    await until(reported, "one has reported")
    record, outcomes = await RunStore(jobs.database).get(run.id), OutcomeStore(jobs.database)
    given = {host: Verdict(Outcome.LOST, "task.silent", "") for host in ("h-1", "h-2")}

    found = await asyncio.gather(*(outcomes.conclude(record, task, given, NOW) for _ in range(4)))

    expected = {("h-1", True, Outcome.SUCCEEDED), ("h-2", False, Outcome.LOST)}
    assert all({(each.host, each.report, each.outcome) for each in facts} == expected for facts in found)
    assert {each["_id"] for each in await jobs.documents("outcomes")} == {f"{task}:h-1:report", f"{task}:h-2:verdict"}
    assert (await RunStore(jobs.database).get(run.id)).verdicts == 1


async def test_a_lost_event_only_costs_time(jobs):
    """The outcome is put into MongoDB behind everybody's back; the holder finds it."""
    agent = await jobs.agent("h-1", hold=True)
    run = await jobs.start("h-1")
    await jobs.becomes(run, "h-1", "running")
    task = f"{run.id}-0-1-0"

    await jobs.database["outcomes"].insert_one(
        {
            "_id": f"{task}:h-1:report",
            "task": task,
            "host": "h-1",
            "kind": "report",
            "outcome": "succeeded",
            "run": run.id,
        }
    )

    assert (await jobs.ended(run)).state is RunState.SUCCEEDED
    assert agent.journal[task] is TaskState.RUNNING


async def test_everybody_sees_live_states_whoever_answers(jobs):
    agent = await jobs.agent("h-1", hold=True)
    jobs.known("h-2")
    run = await jobs.start("h-1", "h-2", offline_wait_s=3600)
    await jobs.becomes(run, "h-1", "running")

    for _ in range(10):
        shown = await jobs.show(run)
        assert (shown.counts.running, shown.counts.pending) == (1, 1)
        listed = await jobs.ask(runs.list_host_results, ListHostResults(run=run.id))
        assert [each.state for each in listed.hosts] == ["running", "pending"]
    agent.finish()
    await jobs.becomes(run, "h-1", "succeeded")


async def test_without_the_key_for_its_masked_values_a_run_is_refused_and_others_go_on(nats, mongo, database, tmp_path):
    async with rig(nats, mongo.url, database, tmp_path, instances=1) as jobs:
        agent = await jobs.agent("h-1", mute=True)
        run = await jobs.start("h-1", offline_wait_s=3600, parameters=(Parameter(name="P", value="x", masked=True),))
        await until(lambda: agent.heard["run"] > 0, "it was sent")
        await jobs.instances[0].end()
        agent.knobs.mute = False
        await jobs.instance(secrets_key="A" * 43 + "=")

        ended = await jobs.ended(run)
        other = await jobs.ended(await jobs.start("h-1"))

        assert (ended.counts.refused, other.counts.succeeded) == (1, 1)


async def test_health_and_metrics_tell_what_the_instance_does(jobs):
    await jobs.agent("h-1")
    jobs.known("h-2")
    await jobs.ended(await jobs.start("h-1", "h-2"))
    texts = []
    async with ClientSession() as session:
        for port in jobs.ports:
            for page in ("healthz", "readyz"):
                async with session.get(f"http://127.0.0.1:{port}/{page}") as answer:
                    assert answer.status == 200
            async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                texts.append(await answer.text())

    values = dict(line.rsplit(" ", 1) for text in texts for line in text.splitlines() if line and line[0] != "#")
    for kind in ("sent", "nobody_there", "ingested_outcomes", "verdict_offline"):
        assert float(values[f'drover_jobs_events_total{{kind="{kind}"}}']) >= 1, kind
    assert "drover_jobs_runs_held" in values
