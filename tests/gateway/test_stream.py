"""The live stream: what a browser sees, and sees again after it was away."""

import asyncio
import contextlib
import re

import aiohttp
import pytest
import pytest_asyncio

from contracts import runs as contract
from contracts.runs import OutputStored
from contracts.states import RunState
from runtime.bus.history import BATCH
from services.gateway.pages import live
from services.gateway.stream import viewer as viewer_module
from tests.gateway.client import PASSWORD, Client
from tests.gateway.listening import Ended, stream
from tests.gateway.live_runs import Stored, live_runs, speaker
from tests.servers import until


@pytest_asyncio.fixture(scope="module")
async def runs(nats):
    async with live_runs(nats) as made:
        yield made


@pytest_asyncio.fixture
async def host(nats, tmp_path):
    async with speaker(nats, tmp_path, "h-1") as made:
        yield made


async def test_a_stream_begins_with_how_the_run_stands_and_goes_on_with_what_happens(viewer, runs):
    run = runs.begin(hosts=3)
    async with stream(viewer, run) as events:
        first = await events.next()
        assert first.kind == "jobs.run"
        assert first.data["state"] == "running"
        assert first.data["counts"]["running"] == 3
        revision = await runs.change(run, state=RunState.SUCCEEDED)
        then = await events.next()
        assert (then.kind, then.data["state"], then.data["revision"]) == ("jobs.run", "succeeded", revision)
        assert int(then.id) > int(first.id)


async def test_what_happened_while_a_browser_was_away_comes_once_and_in_order(viewer, runs):
    run, other = runs.begin(), runs.begin()
    async with stream(viewer, run) as events:
        await events.next()
        seen = [await runs.change(run)]
        assert (await events.next()).data["revision"] == seen[0]
        last = events.last_id
    for _ in range(BATCH + 10):
        seen.append(await runs.change(run))
        if len(seen) % 50 == 0:
            await runs.change(other)
    async with stream(viewer, run, last_id=last) as events:
        missed = await events.take(len(seen) - 1)
        assert [event.data["revision"] for event in missed] == seen[1:]
        assert {event.data["run"] for event in missed} == {run}
        now = await runs.change(run)
        assert (await events.next()).data["revision"] == now


async def test_events_that_happen_during_the_resumption_are_neither_lost_nor_doubled(viewer, runs):
    run = runs.begin()
    async with stream(viewer, run) as events:
        await events.next()
        last = events.last_id
    for _ in range(300):
        await runs.change(run)

    async def go_on():
        for _ in range(300):
            await runs.change(run)

    changing = asyncio.create_task(go_on())
    async with stream(viewer, run, last_id=last) as events:
        seen = await events.take(600)
    await changing
    assert [event.data["revision"] for event in seen] == list(range(2, 602))
    numbers = [int(event.id) for event in seen]
    assert numbers == sorted(set(numbers))


async def test_several_runs_share_a_stream_in_the_order_of_events(viewer, runs):
    one, two = runs.begin(), runs.begin()
    async with stream(viewer, f"{one},{two}") as events:
        assert {event.data["run"] for event in await events.take(2)} == {one, two}
        last = events.last_id
    for _ in range(5):
        await runs.change(one)
        await runs.change(two)
    async with stream(viewer, f"{one},{two}", last_id=last) as events:
        seen = await events.take(10)
    assert [event.data["run"] for event in seen] == [one, two] * 5
    assert [int(event.id) for event in seen] == sorted(int(event.id) for event in seen)


@pytest.mark.parametrize("last", ["999999999", "99999999999999999"])
async def test_a_number_that_the_stream_does_not_have_begins_anew_and_says_so(viewer, runs, last):
    run = runs.begin()
    async with stream(viewer, run, last_id=last) as events:
        reset, state = await events.take(2)
        assert reset.kind == "reset"
        assert (state.kind, state.data["run"]) == ("jobs.run", run)
        revision = await runs.change(run)
        assert (await events.next()).data["revision"] == revision


async def test_the_number_may_come_in_the_address(viewer, runs):
    run = runs.begin()
    async with stream(viewer, run) as events:
        last = (await events.next()).id
    revision = await runs.change(run)
    url = f"{viewer.address}/api/v1/stream?runs={run}&last_event_id={last}"
    async with viewer.http.get(url) as response:
        line = b""
        while not line.startswith(b"data:"):
            line = await response.content.readuntil(b"\n")
        assert f'"revision":{revision}'.encode() in line


async def test_a_run_that_is_not_there_is_refused_before_the_stream_begins(viewer, runs):
    assert (await viewer.get("/stream", params={"runs": "0123"})).reason == "run.unknown"


async def test_nobody_watches_without_a_login(browser, runs):
    assert (await browser.get("/stream", params={"runs": runs.begin()})).reason == "auth.required"


WRONG = [
    "runs=",
    "runs=a,,b",
    "runs=A",
    "runs=*",
    "runs=a&output=b:h",
    "runs=a&output=a",
    "runs=a&output=a:*",
    "runs=a&output=a:h:-1",
    "runs=a&output=a:h:x",
    "runs=a&output=a:h:１",
    "runs=a&last_event_id=x",
    "runs=a&last_event_id=" + "9" * 19,
    "runs=" + ",".join(f"r{n}" for n in range(51)),
    "runs=a&output=" + ",".join(f"a:h{n}" for n in range(21)),
    "",
]


@pytest.mark.parametrize("query", WRONG)
async def test_wishes_that_cannot_be(viewer, query):
    assert (await viewer.get(f"/stream?{query}")).reason == "bus.malformed"


async def test_output_is_live_whole_and_in_order_and_ends(viewer, runs, host, nats):
    run = runs.begin()
    task = f"{run}-0-1-0"
    stored = runs.stored[run, "h-1"] = Stored(task)
    text = "".join(f"line {n} é 漢\n" for n in range(200)).encode()
    lines = [match.end() for match in re.finditer(b"\n", text)]
    early, middle, lost = lines[20], lines[100], lines[120]
    stored.text = text[:early]  # from before anybody watched
    async with stream(viewer, run, output=f"{run}:h-1") as events:
        told = bytearray()
        await gather(events, told, early)
        await host.say(task, 0, text[:early])  # an old piece again
        async with host.saying(task, early, text[early:middle]):
            await gather(events, told, middle)  # live, before it is stored
        await host.say(task, lost, text[lost : lines[150]])  # and what comes in between is lost
        await runs.store(run, "h-1", text[early:lost])
        await gather(events, told, lines[150])
        await runs.store(run, "h-1", text[lost:])
        await runs.finish(run, "h-1", task)
        await gather(events, told, len(text))
        end = (await events.until("output.end"))[-1]
        assert bytes(told) == text
        assert end.data["task"] == task
        assert end.data["offset"] == len(text)


async def gather(events, told, length):
    """Add output to `told` until it is so long; every piece must join."""
    while len(told) < length:
        event = await events.next()
        if event.kind == "output":
            assert event.data["offset"] == len(told)
            told += event.data["text"].encode()
            assert event.id == ""
    assert len(told) == length


async def test_output_from_an_offset_on(viewer, runs):
    run = runs.begin()
    runs.stored[run, "h-1"] = Stored(f"{run}-0-1-0")
    runs.stored[run, "h-1"].text = b"0123456789"
    runs.stored[run, "h-1"].complete = True
    async with stream(viewer, run, output=f"{run}:h-1:4") as events:
        output, end = [event for event in await events.until("output.end") if event.kind != "jobs.run"]
        assert (output.data["offset"], output.data["text"]) == (4, "456789")
        assert end.data["offset"] == 10


async def test_long_output_comes_in_pieces_and_whole(viewer, runs):
    run = runs.begin()
    stored = runs.stored[run, "h-1"] = Stored(f"{run}-0-1-0")
    stored.text = b"".join(b"%07d\n" % n for n in range(400_000))
    stored.complete = True
    async with stream(viewer, run, output=f"{run}:h-1") as events:
        told = bytearray()
        await gather(events, told, len(stored.text))
        assert bytes(told) == stored.text
        assert (await events.until("output.end"))[-1].data["offset"] == len(stored.text)


async def test_a_host_that_is_tried_again_begins_a_new_text(viewer, runs, host):
    run = runs.begin()
    first, second = f"{run}-0-1-0", f"{run}-0-2-0"
    runs.stored[run, "h-1"] = Stored(first)
    runs.stored[run, "h-1"].text = b"the first try failed\n"
    runs.stored[run, "h-1"].complete = True
    async with stream(viewer, run, output=f"{run}:h-1") as events:
        assert (await events.until("output.end"))[-1].data["task"] == first
        runs.stored[run, "h-1"] = Stored(second)
        await runs.change(run, tries=2)
        async with host.saying(second, 0, b"the second "):
            piece = (await events.until("output"))[-1]
        assert (piece.data["task"], piece.data["offset"], piece.data["text"]) == (second, 0, "the second ")
        await runs.store(run, "h-1", b"the second one works\n")
        await runs.finish(run, "h-1", second)
        rest = await events.until("output.end")
        assert "".join(event.data["text"] for event in rest if event.kind == "output") == "one works\n"
        assert rest[-1].data["task"] == second


async def test_a_host_that_has_no_part_in_the_run_is_said_so(viewer, runs):
    run = runs.begin()
    async with stream(viewer, run, output=f"{run}:h-stranger") as events:
        end = (await events.until("output.end"))[-1]
        assert end.data == {"run": run, "host": "h-stranger", "reason": "run.host_unknown"}


async def test_live_output_is_heard_only_while_somebody_watches(viewer, runs, nats, monkeypatch):
    monkeypatch.setattr(viewer_module, "CHECK_EVERY_S", 0.5)
    run = runs.begin()
    runs.stored[run, "h-quiet"] = Stored(f"{run}-0-1-0")

    def listened():
        connections = nats.monitor("hub", "connz?subs=1").get("connections", [])
        return any("out.*.h-quiet.*" in connection.get("subscriptions_list", []) for connection in connections)

    assert not listened()
    async with stream(viewer, run, output=f"{run}:h-quiet"):
        await until(listened, "the gateway listens")
    await until(lambda: not listened(), "the gateway stops listening")


async def test_a_browser_that_reads_nothing_is_cut_and_can_resume(viewer, runs):
    run = runs.begin()
    before = await cut(viewer)
    big = ["x" * 100_000]
    async with stream(viewer, run) as events:
        first = await events.next()
        for _ in range(200):
            await runs.change(run)
            await announce_much(runs, run, big)

        async def was_cut():
            return await cut(viewer) > before

        await until(was_cut, "the slow browser is cut")
        got = []
        with contextlib.suppress(Ended, aiohttp.ClientError, ConnectionError):
            while True:
                got.append(await events.next())
    last = (got or [first])[-1].id
    async with stream(viewer, run, last_id=last) as events:
        rest = []
        while not rest or rest[-1].kind != "jobs.run" or rest[-1].data["revision"] < 201:
            rest.append(await events.next())
    revisions = [event.data["revision"] for event in [*got, *rest] if event.kind == "jobs.run"]
    assert revisions == list(range(2, 202))


async def announce_much(runs, run, hosts):
    await runs.bus.announce(contract.output_stored, OutputStored(run=run, hosts=hosts))


async def cut(client):
    text = (await client.get("/metrics")).body.decode()
    return float(re.search(r"^drover_gateway_streams_cut_total (\S+)$", text, re.M).group(1))


async def test_a_stream_ends_with_the_session_that_opened_it(address, admin, runs, person, monkeypatch):
    monkeypatch.setattr(viewer_module, "CHECK_EVERY_S", 0.5)
    run = runs.begin()
    async with Client(address) as browser:
        assert (await browser.log_in(person, PASSWORD)).status == 200
        async with stream(browser, run) as events:
            await events.next()
            await admin.post(f"/people/{person}/disable")
            rest = await events.end()
            assert [(event.kind, event.data) for event in rest] == [("end", {"reason": "auth.required"})]


async def test_one_person_opens_so_many_streams(browser, person, admin, runs, monkeypatch):
    monkeypatch.setattr(live, "MOST_STREAMS_EACH", 2)
    run = runs.begin()
    await browser.log_in(person)
    async with stream(browser, run), stream(browser, run):
        refused = await browser.get("/stream", params={"runs": run})
        assert (refused.status, refused.reason) == (429, "http.too_many_requests")
    monkeypatch.setattr(live, "MOST_STREAMS", 0)
    assert (await admin.get("/stream", params={"runs": run})).status == 429


async def test_a_silent_stream_shows_that_it_lives(viewer, runs, monkeypatch):
    monkeypatch.setattr(viewer_module, "COMMENT_EVERY_S", 0.2)
    async with stream(viewer, runs.begin()) as events:
        await events.next()
        await events.comment()
        await events.comment()
