"""Stopping and trying again."""

import asyncio
import json

import pytest

from bench.simulated_agent import SimulatedAgent
from contracts import runs
from contracts.agents import TaskState
from contracts.errors import Conflict, Forbidden, NotFound
from contracts.runs import ListHostResults, RetryRun, RunRef, StopRun
from contracts.states import RunState
from tests.hosts import host_connection
from tests.jobs.rig import VIEWER
from tests.servers import until


async def states(jobs, run):
    found = await jobs.ask(runs.list_host_results, ListHostResults(run=run.id))
    return {each.host: each.state for each in found.hosts}


async def test_stopping_ends_what_runs_and_never_begins_what_waits(jobs):
    jobs.known("h-1", "h-2")
    running = await jobs.agent("h-1", hold=True)
    run = await jobs.start("h-1", "h-2", offline_wait_s=3600)
    await jobs.becomes(run, "h-1", "running")
    await jobs.becomes(run, "h-2", "pending")

    answers = await asyncio.gather(
        *(jobs.ask(runs.stop, StopRun(run=run.id, why="enough")) for _ in range(6)), return_exceptions=True
    )

    assert {answer.state for answer in answers} <= {RunState.STOPPING, RunState.STOPPED}
    ended = await jobs.ended(run)
    assert ended.state is RunState.STOPPED
    assert await states(jobs, run) == {"h-1": "stopped", "h-2": "cancelled"}
    assert [(each.what, each.by.name, each.why) for each in ended.actions] == [
        ("start", "ann", ""),
        ("stop", "ann", "enough"),
    ]
    late = await jobs.agent("h-2")
    await late.hello()
    assert (await jobs.ask(runs.stop, StopRun(run=run.id))).state is RunState.STOPPED, "again is no fault"
    assert not late.started
    assert sum(running.started.values()) == 1


def returned(jobs, agent):
    """The same host with its journal and its scripts, on a new connection."""
    back = SimulatedAgent(
        host_connection(jobs.nats, jobs.folder, agent.idc, agent.host), agent.idc, agent.host,
        json.loads(jobs.nats.trust.command_keys.read_text()), agent.knobs, agent.box_key,
        journal=agent.journal, _go=agent._go,
    )  # fmt: skip
    agent.connection = back.connection
    return back


@pytest.mark.parametrize("jobs", [{"silence_s": 2.0}], indirect=True)
async def test_a_host_that_returns_after_the_run_was_stopped_does_not_go_on(jobs):
    agent = await jobs.agent("h-1", hold=True)
    run = await jobs.start("h-1")
    await jobs.becomes(run, "h-1", "running")
    await agent.connection.close()
    await jobs.ask(runs.stop, StopRun(run=run.id))
    ended = await jobs.ended(run)
    assert (ended.state, ended.counts.lost) == (RunState.STOPPED, 1)
    back = returned(jobs, agent)

    await back.start()

    async def corrected():
        return (await jobs.show(run)).counts.stopped == 1

    await until(corrected, "the script was stopped and said so")
    assert back.heard["cancel"] >= 1


async def test_a_cancel_waits_for_a_host_that_is_away_with_the_task(jobs):
    agent = await jobs.agent("h-1", hold=True)
    run = await jobs.start("h-1", offline_wait_s=600)
    await jobs.becomes(run, "h-1", "running")
    await agent.connection.close()
    await jobs.ask(runs.stop, StopRun(run=run.id))
    back = returned(jobs, agent)
    assert (await jobs.show(run)).state is RunState.STOPPING

    await back.start()

    assert (await jobs.ended(run)).state is RunState.STOPPED
    assert back.heard["cancel"] >= 1
    assert await states(jobs, run) == {"h-1": "stopped"}


async def test_a_cancel_is_repeated_until_it_is_answered(jobs):
    agent = await jobs.agent("h-1", hold=True)
    run = await jobs.start("h-1", offline_wait_s=600)
    await jobs.becomes(run, "h-1", "running")
    agent.knobs.lose_acks = 2
    agent._go[f"{run.id}-0-1-0"] = asyncio.Event()  # the script does not mind the cancel
    await jobs.ask(runs.stop, StopRun(run=run.id))

    await until(lambda: agent.heard["cancel"] >= 3, "the cancel came three times")
    assert agent.journal[f"{run.id}-0-1-0"] is TaskState.RUNNING


async def test_a_run_that_has_ended_is_not_stopped(jobs):
    await jobs.agent("h-1")
    run = await jobs.ended(await jobs.start("h-1"))

    with pytest.raises(Conflict) as refusal:
        await jobs.ask(runs.stop, StopRun(run=run.id))
    assert refusal.value.reason == "run.wrong_state"


async def test_trying_again_gives_a_new_task_to_the_hosts_that_failed(jobs):
    good, bad = await jobs.agent("h-1"), await jobs.agent("h-2", exit_code=1)
    jobs.known("h-3")
    run = await jobs.ended(await jobs.start("h-1", "h-2", "h-3"))
    assert run.state is RunState.FAILED
    bad.knobs.exit_code = 0
    away = await jobs.agent("h-3", hold=True)

    again = await jobs.ask(runs.retry, RetryRun(run=run.id, why="fixed"))

    assert (again.state, again.tries, again.ended_at, again.counts.succeeded) == (RunState.PENDING, 2, None, 1)
    await jobs.becomes(run, "h-3", "running")
    with pytest.raises(Conflict) as refusal:
        await jobs.ask(runs.retry, RetryRun(run=run.id))
    assert refusal.value.reason == "run.wrong_state"
    away.finish()
    ended = await jobs.ended(run)
    assert (ended.state, ended.counts.succeeded) == (RunState.SUCCEEDED, 3)
    assert set(good.started) == {f"{run.id}-0-1-0"}
    assert set(bad.started) == {f"{run.id}-0-1-0", f"{run.id}-0-2-0"}
    assert set(away.started) == {f"{run.id}-0-2-0"}
    assert ended.actions[-1].what == "retry"
    with pytest.raises(Conflict) as refusal:
        await jobs.ask(runs.retry, RetryRun(run=run.id))
    assert refusal.value.reason == "run.nothing_to_retry"


async def test_of_many_who_try_again_at_once_one_does(jobs):
    agent = await jobs.agent("h-1", exit_code=1)
    run = await jobs.ended(await jobs.start("h-1"))

    answers = await asyncio.gather(
        *(jobs.ask(runs.retry, RetryRun(run=run.id)) for _ in range(5)), return_exceptions=True
    )

    refused = [answer.reason for answer in answers if isinstance(answer, Conflict)]
    done = [answer for answer in answers if not isinstance(answer, Exception)]
    assert len(refused) + len(done) == 5
    ended = await jobs.ended(run)
    assert ended.tries == 1 + len(done)
    assert sum(agent.started.values()) == ended.tries
    assert max(agent.started.values()) == 1


@pytest.mark.parametrize("call", [runs.stop, runs.retry, runs.show])
async def test_an_unknown_run_is_said_to_be_unknown(jobs, call):
    with pytest.raises(NotFound) as refusal:
        await jobs.ask(call, call.request(run="nobody"))
    assert refusal.value.reason == "run.unknown"


@pytest.mark.parametrize("call", [runs.stop, runs.retry])
async def test_a_viewer_looks_only(jobs, call):
    run = await jobs.start(*(await known(jobs)))
    with pytest.raises(Forbidden):
        await jobs.ask(call, call.request(run=run.id), by=VIEWER)
    assert (await jobs.ask(runs.show, RunRef(run=run.id), by=VIEWER)).id == run.id


async def known(jobs):
    jobs.known("h-1")
    return ["h-1"]
