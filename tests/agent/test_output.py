"""Output: live, in chunks, capped, complete and in order."""

import asyncio
import threading
from pathlib import Path

import msgspec
import pytest

from agent.output import CHUNK_BYTES, Chunker, Output, Piece, marker, replay
from agent.spool import Held, cuts
from contracts import subjects
from contracts.agents import HEAD_BYTES, PIECE_BYTES, OutputChunk, RunScript, TaskState, Verb
from contracts.runs import MASK
from contracts.states import Outcome
from runtime.bus import Message
from runtime.signing import seal
from tests.agent.agent_rig import DEADLINE_S, Dispatcher, Home, new_task, reached
from tests.servers import until

MIB = 1024 * 1024


async def test_a_hundred_thousand_lines_are_complete_and_in_order(jobs: Dispatcher, home: Home):
    own = await reached(jobs, await home.agent())
    task = await jobs.run(own, "seq 100000")
    report = await jobs.report(own, task)
    whole = "".join(f"{n}\n" for n in range(1, 100001))
    assert report.output_bytes == len(whole)
    assert report.chunks > 0
    assert jobs.output(own, task) == whole


async def test_an_output_within_the_head_travels_in_the_report_alone(jobs: Dispatcher, home: Home):
    own = await reached(jobs, await home.agent())
    task = await jobs.run(own, f"head -c {HEAD_BYTES} /dev/zero | tr '\\0' x")
    report = await jobs.report(own, task)
    assert report.chunks == 0
    assert report.head == jobs.output(own, task)


async def test_what_is_no_utf8_is_shown_escaped_and_nothing_is_lost(jobs: Dispatcher, home: Home):
    own = await reached(jobs, await home.agent())
    task = await jobs.run(own, r"printf 'a\377b\303\244\000\033[1m\303'; head -c 300000 /dev/zero; printf '\200'")
    await jobs.report(own, task)
    data = b"a\xffb\xc3\xa4\0\x1b[1m\xc3" + bytes(300000) + b"\x80"
    assert jobs.output(own, task) == data.decode(errors="backslashreplace")


async def test_fifty_megabytes_are_capped_and_the_disk_stays_bounded(jobs: Dispatcher, home: Home):
    agent = await home.agent(output_limit=2 * MIB)
    own = await reached(jobs, agent)
    folder, gate = agent.parts.kit.folder.root, threading.Event()
    begun, go, written, on = (folder / name for name in ("begun", "go", "written", "on"))
    script = (
        f"touch {begun}; until [ -e {go} ]; do sleep 0.05; done; yes 0123456789abcde | head -c {50 * MIB}; "
        f"touch {written}; until [ -e {on} ]; do sleep 0.05; done; head -c 100000 /dev/zero; echo; echo end"
    )
    task = await jobs.run(own, script)
    await until(begun.exists, "the script runs")
    # Nobody looks at the file while it grows: what is written during a cut is not counted.
    away = asyncio.create_task(home.house.worker.run(lambda: gate.wait(DEADLINE_S)))
    try:
        go.touch()
        await until(written.exists, "fifty megabytes are written")
    finally:
        gate.set()
    await away
    await until(lambda: agent.parts.tasks[task].row.dropped == 48 * MIB, "what is too much is cut off")
    on.touch()
    report = await jobs.report(own, task)
    assert report.outcome is Outcome.SUCCEEDED
    last = marker(2 * MIB, 2 * MIB, report.output_dropped)
    assert "output limit of 2097152 bytes reached" in last
    assert jobs.output(own, task) == "0123456789abcde\n" * (2 * MIB // 16) + last
    assert 48 * MIB <= report.output_dropped <= 48 * MIB + 100005


async def test_a_running_script_cannot_fill_the_disk(jobs: Dispatcher, home: Home):
    agent = await home.agent(output_limit=MIB)
    own = await reached(jobs, agent)
    enough, paused = (agent.parts.kit.folder.root / name for name in ("enough", "paused"))
    script = f"until [ -e {enough} ]; do head -c 1000000 /dev/zero; sleep 0.1; done; touch {paused}; sleep 1000"
    task = await jobs.run(own, script)
    file = agent.parts.kit.folder.task(task) / "output"
    await until(lambda: task in agent.parts.tasks and agent.parts.tasks[task].row.dropped > 8 * MIB, "much was dropped")
    enough.touch()
    await until(paused.exists, "the script writes no more")
    await until(lambda: file.stat().st_size == MIB, "nothing beyond the limit stays")
    await jobs.cancel(own, task)
    report = await jobs.report(own, task)
    assert report.outcome is Outcome.STOPPED
    assert report.output_dropped > 8 * MIB
    assert jobs.output(own, task) == "\0" * MIB + marker(MIB, MIB, report.output_dropped)


async def test_watchers_see_output_as_it_comes_and_readers_find_chunks_meanwhile(jobs: Dispatcher, home: Home, nats):
    agent = await home.agent()
    own = await reached(jobs, agent)
    from tests.conftest import service_bus

    seen: list[OutputChunk] = []
    go, task = agent.parts.kit.folder.root / "go", new_task()

    async def watch(message: Message) -> None:
        seen.append(msgspec.json.decode(message.data, type=OutputChunk))

    async with service_bus(nats, "gateway") as gateway:
        await gateway.hear(subjects.live_output(subjects.ANY, subjects.ANY, task), watch)
        await gateway.connection.flush()
        await jobs.run(own, f"echo one; while ! [ -e {go} ]; do sleep 0.05; done; echo two", task=task)
        await until(lambda: [each.text for each in seen] == ["one\n"], "the first line comes while the script runs")
        await until(lambda: bool(jobs.said[own.host, task]), "a chunk of it comes while the script runs")
        assert jobs.said[own.host, task][0] == OutputChunk(task=task, n=1, offset=0, text="one\n")
        go.touch()
        await jobs.report(own, task)
        await until(lambda: "".join(each.text for each in seen) == "one\ntwo\n", "the rest comes")
    assert [each.offset for each in seen] == [0, 4]
    assert jobs.output(own, task) == "one\ntwo\n"


async def test_an_output_that_the_script_removed_is_said_to_be_gone(jobs: Dispatcher, home: Home):
    own = await reached(jobs, await home.agent())
    gone = await jobs.run(own, 'echo hello; rm -r "$(dirname "$PWD")"')
    empty = await jobs.run(own, "true")
    report = await jobs.report(own, gone)
    assert (report.outcome, report.output_bytes) == (Outcome.SUCCEEDED, 0)
    assert report.message == "The script's output is gone: its file was removed before it was read."
    assert (await jobs.report(own, empty)).message == ""


async def test_masked_values_do_not_leave_the_host(jobs: Dispatcher, home: Home):
    own = await reached(jobs, await home.agent())
    secret = "pass\nword"
    sealed = seal(msgspec.json.encode({"p": secret}), own.box_key().public_key)
    script = "printf 'a pass'; sleep 0.7; printf '\\nwo'; sleep 0.7; printf 'rd b pass'"
    task, body = new_task(), msgspec.json.encode(RunScript(language="shell", script=script, timeout_s=60))
    await jobs.command(own, Verb.RUN, task, body, sealed=sealed)
    report = await jobs.report(own, task)
    assert report.head == f"a {MASK} b pass"


async def test_masked_values_do_not_leave_the_host_in_tag_and_result(jobs: Dispatcher, home: Home):
    own = await reached(jobs, await home.agent())
    sealed = seal(msgspec.json.encode({"p": "hunter2-long", "q": "line-2\n"}), own.box_key().public_key)
    script = 'printf v1-hunter2-long-line-2 > "$DROVER_TAG_FILE"; printf \'["hunter2-long"]\' > "$DROVER_RESULT"'
    task, body = new_task(), msgspec.json.encode(RunScript(language="shell", script=script, timeout_s=60))
    await jobs.command(own, Verb.RUN, task, body, sealed=sealed)
    report = await jobs.report(own, task)
    assert report.tag == f"v1-{MASK}-{MASK}"
    assert report.result == f'["{MASK}"]'


async def test_the_budget_cuts_old_output_and_no_report(jobs: Dispatcher, home: Home):
    agent = await home.agent(spool_limit=MIB)
    own = await reached(jobs, agent)
    jobs.stores = False
    try:
        tasks = []
        for _ in range(4):
            tasks.append(await jobs.run(own, "head -c 400000 /dev/zero"))
            await jobs.report(own, tasks[-1])
            used = sum(file.stat().st_size for file in agent.parts.kit.folder.tasks.rglob("output"))
            assert used <= MIB + 400000
        await until(lambda: agent.parts.kit.counters["spool_cut_bytes"] > 0, "old output is cut")
        assert agent.parts.tasks[tasks[0]].size < 400000
        assert agent.parts.tasks[tasks[-1]].size == 400000
        task = await jobs.run(own, "head -c 3000000 /dev/zero; sleep 100")
        await jobs.ack(own, task)
        await until(lambda: agent.parts.tasks[task].row.dropped > 0, "a running script is held to the budget too")
    finally:
        jobs.stores = True
    await jobs.cancel(own, task)
    await jobs.report(own, task)
    assert "[drover: spool limit reached" in jobs.output(own, task)
    for each in (*tasks, task):
        await jobs.frees(own, each, lambda each=each: each not in agent.parts.tasks)


async def test_a_full_budget_refuses_new_tasks_until_results_are_stored(jobs: Dispatcher, home: Home):
    agent = await home.agent(spool_limit=100_000)
    own = await reached(jobs, agent)
    jobs.stores = False
    try:
        tasks = [await jobs.run(own, f"head -c {HEAD_BYTES} /dev/zero") for _ in range(2)]
        for task in tasks:
            await jobs.report(own, task)
        refused = await jobs.run(own, "true")
        report = await jobs.report(own, refused)
        assert (report.outcome, report.reason) == (Outcome.REFUSED, "task.spool_full")
    finally:
        jobs.stores = True
    for each in (*tasks, refused):
        await jobs.frees(own, each, lambda each=each: each not in agent.parts.tasks)
    assert (await jobs.report(own, await jobs.run(own, "true"))).outcome is Outcome.SUCCEEDED


def test_budget_cuts_take_the_oldest_first_and_no_more_than_needed():
    held = [Held("new", 2.0, 500, 64), Held("old", 1.0, 500, 64), Held("small", 0.0, 10, 10)]
    assert cuts(held, 1010) == {}
    assert cuts(held, 800) == {"old": 290}
    assert cuts(held, 300) == {"old": 64, "new": 226}
    assert cuts(held, 0) == {"old": 64, "new": 64}


@pytest.mark.parametrize("text", ["x", "\0", "ä", '"'])
def test_no_chunk_is_larger_than_a_message_may_be(text: str):
    chunker, whole = Chunker(0), text * (2 * CHUNK_BYTES)
    chunker.add(Piece(0, whole, len(whole.encode())))
    taken = ""
    while chunker.waiting:
        span, piece = chunker.next()
        chunker.done(piece)
        assert span.offset == len(taken.encode())
        assert len(msgspec.json.encode(piece)) <= PIECE_BYTES
        taken += piece
    assert taken == whole


def test_chunks_are_read_again_as_they_were(tmp_path: Path):
    path = tmp_path / "output"
    path.write_bytes("äöü\n".encode() * 100_000)
    first, chunker, made = Output(path, (), 10 * MIB), Chunker(0), {}
    while (piece := first.step()) is not None:
        chunker.add(piece)
    chunker.add(first.end("\nmarker"))
    while chunker.waiting:
        span, text = chunker.next()
        chunker.done(text)
        made[len(made) + 1] = (span, text)
    wanted = {n: span for n, (span, _) in made.items() if n != 1}
    again = {n: (span, text) for n, span, text in replay(Output(path, (), 10 * MIB), wanted, "\nmarker")}
    assert again == {n: each for n, each in made.items() if n != 1}


async def test_heartbeats_list_what_is_open(jobs: Dispatcher, home: Home):
    agent = await home.agent(heartbeat_s=0.2)
    own = await reached(jobs, agent)
    task = await jobs.run(own, "sleep 100")
    await until(
        lambda: any(host == own.host and task in beat.open for host, beat in jobs.beats), "a heartbeat lists it"
    )
    await until(lambda: agent.parts.tasks[task].state is TaskState.RUNNING, "it runs")
    await agent.parts.connection.reconnect()

    def greeted() -> bool:
        return any(
            host == own.host and any((each.task, each.state) == (task, TaskState.RUNNING) for each in hello.tasks)
            for host, hello in jobs.hellos
        )

    await until(greeted, "a new connection says hello with it")
    await reached(jobs, agent)
    await jobs.cancel(own, task)
    assert (await jobs.report(own, task)).outcome is Outcome.STOPPED
