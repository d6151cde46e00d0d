"""What a browser sees of a hub or gateway that goes and comes back. Each test has servers of its own."""

import asyncio
import contextlib
import shutil

import pytest_asyncio

from contracts.errors import Unavailable
from runtime.bus import streams
from runtime.bus.streams import EVENTS
from services.gateway.app import running
from tests.gateway.client import Client
from tests.gateway.conftest import settings
from tests.gateway.listening import stream
from tests.gateway.live_runs import live_runs
from tests.servers import READY_S, nats_plane, until


@pytest_asyncio.fixture
async def plane(tmp_path):
    async with nats_plane(tmp_path / "own", ("js",)) as made:
        yield made


@pytest_asyncio.fixture
async def runs(plane):
    async with live_runs(plane) as made:
        yield made


@pytest_asyncio.fixture
async def browser(plane, mongo, runs):
    async with running(settings(plane, mongo)) as address, Client(address) as client:
        await client.log_in()
        yield client


async def connected(runs):
    """Until the hub takes what jobs announces."""

    async def ready():
        try:
            await streams.ensure_stream(runs.bus.connection, EVENTS)
        except Unavailable:
            return False
        return True

    await until(ready, "the stream takes events again")


async def test_a_hub_that_is_killed_and_started_again_loses_no_event(plane, runs, browser):
    run = runs.begin()
    async with stream(browser, run) as events:
        seen = [(await events.next()).data["revision"]]
        for _ in range(3):
            await runs.change(run)
        seen += [event.data["revision"] for event in await events.take(3)]
        await plane.kill("hub")
        await plane.start("hub")
        await connected(runs)
        for _ in range(3):
            await runs.change(run)
        seen += [(await events.next()).data["revision"] for _ in range(3)]
    assert seen == [1, 2, 3, 4, 5, 6, 7]


async def test_a_hub_that_lost_its_stream_makes_browsers_begin_anew(plane, runs, browser, tmp_path):
    run = runs.begin()
    for _ in range(20):
        await runs.change(run)
    async with stream(browser, run) as events:
        await events.next()
        last = events.last_id
        await plane.kill("hub")
        shutil.rmtree(tmp_path / "own" / "hub" / "jetstream")
        await plane.start("hub")
        await connected(runs)
        await asyncio.wait_for(events.end(), READY_S)
    async with stream(browser, run, last_id=last) as events:
        reset, state = await events.take(2)
        assert (reset.kind, state.kind) == ("reset", "jobs.run")
        revision = await runs.change(run)
        assert (await events.next()).data["revision"] == revision


async def test_a_gateway_that_stops_ends_its_streams_and_another_goes_on(plane, mongo, runs):
    run = runs.begin()
    wanted = settings(plane, mongo)
    async with running(wanted) as address, Client(address) as client:
        await client.log_in()
        async with stream(client, run) as events:
            await events.next()
            await runs.change(run)
            last = (await events.next()).id
            async with contextlib.AsyncExitStack() as second:
                again = settings(plane, mongo, mongo_database=wanted.mongo_database)
                other = await second.enter_async_context(running(again))
                async with Client(other) as elsewhere:
                    elsewhere.http.cookie_jar.update_cookies(client.cookies)
                    async with stream(elsewhere, run, last_id=last) as there:
                        revision = await runs.change(run)
                        assert (await there.next()).data["revision"] == revision
                        assert (await events.next()).data["revision"] == revision
                        ended = asyncio.create_task(there.end())
                        await second.aclose()
                        assert await asyncio.wait_for(ended, READY_S) == []
