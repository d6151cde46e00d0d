"""A command becomes a process, and its end a report."""

import hashlib

from contracts.agents import TaskState
from contracts.states import Outcome
from tests.agent.agent_rig import Dispatcher, Home, reached
from tests.servers import until


async def test_a_script_runs_and_its_end_is_reported(jobs: Dispatcher, home: Home):
    own = await reached(jobs, await home.agent())
    task = await jobs.run(own, "echo hello from $DROVER_HOST; echo err >&2; exit 3", args=("x",))
    report = await jobs.report(own, task)
    assert (await jobs.ack(own, task)).state is TaskState.ACCEPTED
    assert report.outcome is Outcome.FAILED
    assert report.exit_code == 3
    text = f"hello from {own.host}\nerr\n"
    assert report.head == text
    assert report.output_bytes == len(text)
    assert report.output_hash == hashlib.sha256(text.strip().encode()).hexdigest()
    assert report.started_at <= report.ended_at


async def test_what_is_stored_leaves_the_disk_and_stays_known(jobs: Dispatcher, home: Home):
    agent = await home.agent()
    own = await reached(jobs, agent)
    task = await jobs.run(own, "true")
    await jobs.report(own, task)
    await until(lambda: task not in agent.parts.tasks, "the task is freed")
    folder = agent.parts.kit.folder.task(task)
    await until(lambda: not folder.exists(), "its folder is gone")
    await jobs.run(own, "true", task=task)
    await until(lambda: len(jobs.acks_of(own, task)) == 2, "a second answer")
    assert (await jobs.ack(own, task)).state is TaskState.STORED
    assert len(jobs.reports(own, task)) == 1
