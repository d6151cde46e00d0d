"""A command becomes a process, and its end a report."""

import hashlib
from pathlib import Path

import pytest

from contracts.agents import TaskState
from contracts.states import Outcome
from tests.agent.agent_rig import Dispatcher, Home, reached
from tests.servers import until


async def test_a_script_runs_and_its_end_is_reported(jobs: Dispatcher, home: Home):
    own = await reached(jobs, await home.agent())
    task = await jobs.run(own, "echo hello from $DROVER_HOST; echo err >&2; exit 3", args=("x",))
    report = await jobs.report(own, task)
    assert report.outcome is Outcome.FAILED
    assert report.exit_code == 3
    text = f"hello from {own.host}\nerr\n"
    assert report.head == text
    assert report.output_bytes == len(text)
    assert report.output_hash == hashlib.sha256(text.strip().encode()).hexdigest()
    assert report.started_at <= report.ended_at


async def test_only_a_task_that_takes_longer_is_acknowledged_before_its_report(
    jobs: Dispatcher, home: Home, passable: Path, monkeypatch: pytest.MonkeyPatch
):
    own = await reached(jobs, await home.agent())
    long = await jobs.run(own, f"while ! [ -e {passable}/go ]; do sleep 0.05; done")
    await jobs.answered(own, long, TaskState.RUNNING)
    monkeypatch.setattr("agent.runner.ANSWER_S", 600.0)  # on a busy machine even `true` takes long
    short = await jobs.run(own, "true")
    await jobs.report(own, short)
    assert jobs.acks_of(own, short) == [], "its report was the answer"
    (passable / "go").touch()
    assert (await jobs.report(own, long)).outcome is Outcome.SUCCEEDED


async def test_a_command_that_comes_again_is_answered_at_once(jobs: Dispatcher, home: Home):
    own = await reached(jobs, await home.agent())
    task = await jobs.run(own, "sleep 1000")
    await jobs.run(own, "sleep 1000", task=task)
    await jobs.ack(own, task)
    await jobs.cancel(own, task)
    assert (await jobs.report(own, task)).outcome is Outcome.STOPPED
    assert {each.state for each in jobs.acks_of(own, task)} <= {TaskState.ACCEPTED, TaskState.RUNNING}


async def test_what_is_stored_leaves_the_disk_and_stays_known(jobs: Dispatcher, home: Home):
    agent = await home.agent()
    own = await reached(jobs, agent)
    task = await jobs.run(own, "true")
    await jobs.report(own, task)
    await until(lambda: task not in agent.parts.tasks, "the task is freed")
    folder = agent.parts.kit.folder.task(task)
    await until(lambda: not folder.exists(), "its folder is gone")
    await jobs.run(own, "true", task=task)
    await jobs.answered(own, task, TaskState.STORED)
    assert len(jobs.reports(own, task)) == 1
