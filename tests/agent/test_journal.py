"""The journal: what it says is on the disk, and what it cannot write has not happened."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.journal import Journal, Row, Span, create
from agent.worker import Worker, connect
from contracts.agents import HEAD_BYTES, StoredItem, TaskState
from tests.agent.agent_rig import Dispatcher, Home, new_task, reached
from tests.servers import until


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    one = Worker()
    one.start()
    yield one
    await one.close()


@pytest.fixture
async def journal(tmp_path: Path, worker: Worker) -> AsyncIterator[Journal]:
    create(tmp_path / "journal.db", "h-1")
    one = Journal(tmp_path / "journal.db", worker)
    assert await one.open("h-1") == {}
    yield one
    await one.close()


def row(task: str, **fields) -> Row:
    return Row(**{"task": task, "at": time.time(), "boot_id": "b"} | fields)


def nothing() -> None:
    return None


async def test_every_commit_is_synced(tmp_path: Path, journal: Journal):
    with contextlib.closing(connect(tmp_path / "journal.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


async def test_a_task_begins_once(journal: Journal):
    made = []
    assert await journal.begin(row("t", sealed="s", kill_grace_s=3), lambda: made.append(1)) is None
    again = await journal.begin(row("t"), lambda: made.append(1))
    assert isinstance(again, Row)
    assert (again.sealed, again.kill_grace_s, again.settled()) == ("s", 3, None)
    assert made == [1]


async def test_a_task_whose_preparation_fails_is_not_noted(journal: Journal):
    problem = ValueError("no")
    assert await journal.begin(row("t"), lambda: problem) is problem
    assert await journal.open("h-1") == {}


async def test_chunks_come_back_until_they_are_stored_and_the_place_where_they_end_stays(journal: Journal):
    await journal.begin(row("t"), nothing)
    await journal.chunk("t", 1, Span(0, 10))
    await journal.chunk("t", 2, Span(10, 5))
    await journal.stored([StoredItem("t", 1)], (), time.time())
    [task] = (await journal.open("h-1")).values()
    assert task.unstored == {2: Span(10, 5)}
    assert (task.chunks, task.chunked_to) == (2, 15)


@pytest.mark.parametrize("cancelled", [True, False])
async def test_tombstones_say_how_it_was_settled_and_hold_no_secret(tmp_path: Path, journal: Journal, cancelled: bool):
    await journal.close_unbegun(row("t", cancelled=cancelled, sealed="sealed words", report=b"report words"))
    await journal.stored((), ["t"], time.time())
    assert await journal.open("h-1") == {}
    known = await journal.close_unbegun(row("t"))
    assert known is not None
    assert known.settled() is (TaskState.CANCELLED if cancelled else TaskState.STORED)
    assert (known.sealed, known.report) == ("", None)


async def test_only_old_tombstones_are_forgotten(journal: Journal):
    now = time.time()
    for task, age_s in (("old", 8 * 86_400), ("new", 6 * 86_400)):
        await journal.begin(row(task), nothing)
        await journal.stored((), [task], now - age_s)
    await journal.begin(row("open", at=now - 30 * 86_400), nothing)
    await journal.prune(now)
    assert await journal.close_unbegun(row("old")) is None
    assert isinstance(await journal.begin(row("new"), nothing), Row)
    assert isinstance(await journal.begin(row("open"), nothing), Row)


async def test_what_waits_together_is_committed_together(tmp_path: Path, journal: Journal, worker: Worker):
    gate = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()
    blocked = asyncio.ensure_future(worker.run(lambda: asyncio.run_coroutine_threadsafe(_wait(gate), loop).result()))
    with contextlib.closing(connect(tmp_path / "journal.db")) as other:
        begun = [asyncio.ensure_future(journal.begin(row(f"t{n}"), nothing)) for n in range(20)]
        await asyncio.sleep(0)  # they are in the queue now
        before = other.execute("PRAGMA data_version").fetchone()
        gate.set_result(None)
        await asyncio.gather(blocked, *begun)
        after = other.execute("PRAGMA data_version").fetchone()
        assert before != after
        assert other.execute("SELECT count(*) FROM tasks").fetchone() == (20,)


async def _wait(gate: "asyncio.Future[None]") -> None:
    await gate


async def test_one_that_fails_takes_nothing_with_it_but_its_own_commit(journal: Journal):
    def fails() -> None:
        raise RuntimeError("in the thread")

    with pytest.raises(RuntimeError):
        await journal.begin(row("t"), fails)
    await journal.begin(row("t"), nothing)
    assert list(await journal.open("h-1")) == ["t"]


async def test_a_journal_that_cannot_be_written_starts_nothing_and_says_so(jobs: Dispatcher, home: Home):
    agent = await home.agent()
    own = await reached(jobs, agent)
    database = agent.parts.kit.journal.database
    await home.house.worker.run(lambda: unwritable(database.connection()))
    task = new_task()
    await jobs.run(own, f"touch {home.root}/started", task=task)
    ack = await jobs.ack(own, task)
    assert (ack.state, ack.reason) == (None, "task.no_space")
    assert task not in agent.parts.tasks
    assert not (home.root / "started").exists()
    await home.house.worker.run(lambda: writable(database.connection()))
    await jobs.run(own, "echo after", task=task)
    assert (await jobs.report(own, task)).head == "after\n"


@pytest.mark.parametrize("size", [100, 300_000])
async def test_with_an_unwritable_journal_the_result_of_a_running_script_is_kept_and_freed(
    jobs: Dispatcher, home: Home, size: int
):
    agent = await home.agent()
    own = await reached(jobs, agent)
    go, counters, worker = home.root / "go", agent.parts.kit.counters, home.house.worker
    database = agent.parts.kit.journal.database
    task = await jobs.run(own, f"while ! [ -e {go} ]; do sleep 0.05; done; head -c {size} /dev/zero")
    await jobs.ack(own, task)
    folder = agent.parts.tasks[task].folder
    await worker.run(lambda: unwritable(database.connection()))
    go.touch()
    if size > HEAD_BYTES:  # its chunks must be noted before they are sent
        await until(lambda: counters["delivery_failed"] > 0, "the report waits for room")
    else:
        await jobs.report(own, task)
        await until(lambda: not folder.exists(), "what is stored makes room")
    await worker.run(lambda: writable(database.connection()))
    assert (await jobs.report(own, task)).output_bytes == size
    assert jobs.output(own, task) == "\0" * size
    await jobs.frees(own, task, lambda: task not in agent.parts.tasks)


def unwritable(connection: sqlite3.Connection) -> None:
    """SQLite refuses every write from now on, with the class of error that a full disk gives. Filling its pages is no
    way to get there: whether one row more fits somewhere is a matter of chance."""
    connection.execute("PRAGMA query_only = 1")


def writable(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only = 0")
