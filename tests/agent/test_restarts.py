"""An agent that is killed or ended comes back to its scripts: each runs once, each is reported once, no output twice."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent import facts
from agent.identity import Identity
from contracts.agents import OutputChunk, TaskState
from contracts.states import Outcome
from tests.agent.agent_process import agent_process, spawner_of
from tests.agent.agent_rig import Dispatcher, enrol, new_task
from tests.servers import NatsPlane, Server, until


class Host:
    """One host whose agent is a process."""

    def __init__(self, jobs: Dispatcher, root: Path, own: Identity, process: Server) -> None:
        self.jobs, self.root, self.own, self.process = jobs, root, own, process

    async def start(self) -> None:
        before = len(self.jobs.hellos)
        self.process.start()
        await until(
            lambda: self.process.ended() or any(host == self.own.host for host, _ in self.jobs.hellos[before:]), "hello"
        )
        assert not self.process.ended(), self.process.tail()

    async def run(self, script: str, task: str = "", **fields) -> str:
        """Sent until it is answered: a hello does not say that commands get through already."""
        task = task or new_task()

        async def answered() -> bool:
            await self.jobs.run(self.own, script, task=task, **fields)
            with contextlib.suppress(AssertionError):
                await until(lambda: bool(self.jobs.acks_of(self.own, task)), "", 0.5)
                return True
            return False

        await until(answered, "the command is answered")
        return task

    async def knows(self, task: str, state: TaskState) -> None:
        """Sent again and again, for the same reason, until the newest answer says so."""

        async def said() -> bool:
            await self.jobs.run(self.own, "true", task=task)
            with contextlib.suppress(AssertionError):
                await until(lambda: self.jobs.acks_of(self.own, task)[-1].state is state, "", 0.5)
                return True
            return False

        await until(said, f"{task} is {state}")

    async def written(self, name: str) -> None:
        await until((self.root / name).exists, f"the script has written {name}")

    def journal(self, statement: str, *values: object) -> None:
        with contextlib.closing(sqlite3.connect(self.root / "journal.db")) as database, database:
            database.execute(statement, values)


@pytest.fixture
async def host(nats: NatsPlane, jobs: Dispatcher, passable: Path) -> AsyncIterator[Host]:
    root = passable / "host"
    own = enrol(nats, root)
    with agent_process(root) as process:
        one = Host(jobs, root, own, process)
        await one.start()
        yield one
        if not process.ended():
            await process.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_running_script_outlives_its_agent_and_its_output_is_whole(host: Host, number: int):
    script = f"""
        echo $$ >> {host.root}/effects
        seq 1 20000; touch {host.root}/half
        while ! [ -e {host.root}/on ]; do sleep 0.05; done
        seq 20001 40000; touch {host.root}/ended
        while ! [ -e {host.root}/go ]; do sleep 0.05; done
        seq 40001 60000; exit 7"""
    task = await host.run(script)
    await host.written("half")
    await until(lambda: bool(host.jobs.said[host.own.host, task]), "a chunk is sent")
    await host.process.stop(number)
    (host.root / "on").touch()
    await host.written("ended")
    await host.start()
    hello = [hello for name, hello in host.jobs.hellos if name == host.own.host][-1]
    assert [(each.task, each.state) for each in hello.tasks] == [(task, TaskState.RUNNING)]
    (host.root / "go").touch()
    report = await host.jobs.report(host.own, task)
    assert (report.outcome, report.exit_code) == (Outcome.FAILED, 7)
    whole = "".join(f"{n}\n" for n in range(1, 60001))
    assert host.jobs.output(host.own, task) == whole
    assert report.output_bytes == len(whole)
    chunks = [each for each in host.jobs.said[host.own.host, task] if isinstance(each, OutputChunk)]
    assert len({each.n for each in chunks}) == report.chunks
    assert (host.root / "effects").read_text().count("\n") == 1
    assert len(host.jobs.reports(host.own, task)) == 1


async def test_a_script_that_ended_while_the_agent_was_away_is_reported(host: Host):
    task = await host.run(
        f"touch {host.root}/begun; while ! [ -e {host.root}/go ]; do sleep 0.05; done; echo bye; exit 4"
    )
    await host.written("begun")
    await host.process.stop(signal.SIGKILL)
    record = host.root / "tasks" / task / "exit.json"
    assert not record.exists()
    (host.root / "go").touch()
    await until(record.exists, "the spawner has written how it ended")
    await host.start()
    report = await host.jobs.report(host.own, task)
    assert (report.outcome, report.exit_code, report.head) == (Outcome.FAILED, 4, "bye\n")


async def test_what_was_reported_and_not_stored_is_kept_until_it_is(host: Host):
    host.jobs.stores = False
    try:
        task = await host.run("seq 30000; exit 5")
        await host.jobs.report(host.own, task)
        await host.process.stop(signal.SIGKILL)
        await host.start()
        await until(lambda: _unstored(host, task), "the task is still known as done")
    finally:
        host.jobs.stores = True
    assert host.jobs.output(host.own, task) == "".join(f"{n}\n" for n in range(1, 30001))
    await host.jobs.frees(host.own, task, lambda: not (host.root / "tasks" / task).exists())


def _unstored(host: Host, task: str) -> bool:
    hello = [hello for name, hello in host.jobs.hellos if name == host.own.host][-1]
    return [(each.task, each.state) for each in hello.tasks] == [(task, TaskState.DONE)]


@pytest.mark.parametrize("agent_lives", [True, False])
async def test_with_the_spawner_gone_the_task_is_lost_and_its_output_so_far_is_kept(host: Host, agent_lives: bool):
    task = await host.run(f"echo before; touch {host.root}/begun; sleep 1000")
    await host.written("begun")
    spawner = spawner_of(host.root)
    if not agent_lives:
        await host.process.stop(signal.SIGKILL)
    os.kill(spawner, signal.SIGKILL)
    if not agent_lives:
        await until(lambda: not Path(f"/proc/{spawner}").exists(), "the spawner is gone")
        await host.start()
    report = await host.jobs.report(host.own, task)
    assert (report.outcome, report.reason) == (Outcome.LOST, "task.lost_spawner")
    assert report.head == "before\n"
    again = await host.run("echo works")
    assert (await host.jobs.report(host.own, again)).head == "works\n"


@pytest.mark.parametrize("record", ["", '{"v": 1', "[]", "{}"])
async def test_an_exit_record_that_a_power_cut_has_spoiled_is_none(host: Host, record: str):
    await host.process.stop(signal.SIGKILL)
    task = new_task()
    folder = host.root / "tasks" / task
    folder.mkdir()
    (folder / "exit.json").write_text(record)
    host.journal("INSERT INTO tasks (task, at, boot_id) VALUES (?, 0, 'the boot before')", task)
    await host.start()
    assert (await host.jobs.report(host.own, task)).reason == "task.lost_reboot"


async def test_after_a_restart_of_the_host_running_tasks_are_lost(host: Host):
    task = await host.run(f"touch {host.root}/begun; sleep 1000")
    await host.written("begun")
    spawner = spawner_of(host.root)
    await host.process.stop(signal.SIGKILL)
    os.kill(spawner, signal.SIGKILL)
    await until(lambda: not Path(f"/proc/{spawner}").exists(), "the spawner is gone")
    host.journal("UPDATE tasks SET boot_id = 'the boot before'")
    await host.start()
    report = await host.jobs.report(host.own, task)
    assert (report.outcome, report.reason) == (Outcome.LOST, "task.lost_reboot")


async def test_killed_between_the_journal_and_the_spawn_a_task_is_lost_and_never_started(host: Host):
    await host.process.stop(signal.SIGKILL)
    task = new_task()
    folder = host.root / "tasks" / task
    folder.mkdir()
    (folder / "script").write_text(f"touch {host.root}/started")
    insert = "INSERT INTO tasks (task, at, boot_id) VALUES (?, ?, ?)"
    host.journal(insert, task, time.time(), facts.boot_id())
    host.jobs.stores = False
    try:
        await host.start()
        report = await host.jobs.report(host.own, task)
        assert (report.outcome, report.reason) == (Outcome.LOST, "task.lost_spawner")
        assert (folder / "output").exists()  # the claim that keeps a late order from starting it
    finally:
        host.jobs.stores = True
    await host.jobs.frees(host.own, task, lambda: not folder.exists())
    assert not (host.root / "started").exists()


async def test_folders_that_the_journal_does_not_know_are_swept(host: Host):
    await host.process.stop(signal.SIGKILL)
    folder = host.root / "tasks" / new_task()
    folder.mkdir()
    await host.start()
    assert not folder.exists()


async def test_tombstones_are_kept_for_a_week(host: Host):
    task = await host.run("true")
    await host.jobs.report(host.own, task)
    await until(lambda: not (host.root / "tasks" / task).exists(), "it is freed")
    await host.process.stop()
    host.journal("UPDATE tasks SET at = at - 6.9 * 86400")
    await host.start()
    await host.knows(task, TaskState.STORED)
    await host.process.stop()
    host.journal("UPDATE tasks SET at = at - 0.2 * 86400")
    await host.start()
    with contextlib.closing(sqlite3.connect(host.root / "journal.db")) as database:
        assert database.execute("SELECT count(*) FROM tasks WHERE task = ?", (task,)).fetchone() == (0,)


async def test_a_second_agent_in_the_folder_is_refused(host: Host):
    with agent_process(host.root) as second:
        second.start()
        await until(second.ended, "the second agent ends")
        assert "Another agent works in" in second.tail()
    await host.jobs.report(host.own, await host.run("true"))


async def test_an_agent_that_is_told_to_end_loses_no_task_that_it_took(host: Host):
    await host.jobs.report(host.own, await host.run("true"))
    tasks = [new_task() for _ in range(20)]
    for task in tasks:
        await host.jobs.run(host.own, f"echo $$ >> {host.root}/effects-{task}", task=task)
    await until((host.root / f"effects-{tasks[0]}").exists, "the first has begun")
    await host.process.stop()
    await host.start()
    for task in tasks:
        if not (host.root / f"effects-{task}").exists():
            await host.run(f"echo $$ >> {host.root}/effects-{task}", task=task)
    for task in tasks:
        assert (await host.jobs.report(host.own, task)).outcome is Outcome.SUCCEEDED
        assert (host.root / f"effects-{task}").read_text().count("\n") == 1


async def test_random_kills_of_the_agent_start_nothing_twice_and_lose_no_report(host: Host):
    """Killed at whatever it is doing, over and over, while commands come."""
    tasks = []
    for round_ in range(5):
        script = f"echo $$ >> {host.root}/effects-{round_}; sleep 0.{round_}; echo done"
        tasks.append(new_task())
        await host.jobs.run(host.own, script, task=tasks[-1])
        await asyncio.sleep(0.03 * round_)
        await host.process.stop(signal.SIGKILL)
        await host.start()
    for round_, task in enumerate(tasks):

        async def told(round_: int = round_, task: str = task) -> bool:
            await host.jobs.run(host.own, f"echo $$ >> {host.root}/effects-{round_}", task=task)
            await asyncio.sleep(0.2)
            return bool(host.jobs.reports(host.own, task))

        await until(told, "a report")
        effects = host.root / f"effects-{round_}"
        lines = effects.read_text().count("\n") if effects.exists() else 0
        report = host.jobs.reports(host.own, task)[0]
        assert lines <= 1
        assert report.outcome in {Outcome.SUCCEEDED, Outcome.LOST}
        if report.outcome is Outcome.SUCCEEDED:
            assert lines == 1
