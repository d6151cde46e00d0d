"""MongoDB goes and comes back; people are told to try again, and what is open stays open."""

import json
import os

import pytest_asyncio

from cli.exits import Exit
from services.gateway.app import running
from services.gateway.stream import viewer as viewer_module
from tests.e2e.command_line import drover
from tests.gateway.client import Client
from tests.gateway.conftest import settings
from tests.gateway.listening import stream
from tests.gateway.live_runs import live_runs
from tests.servers import mongod, nats_plane, until


@pytest_asyncio.fixture
async def nats(tmp_path):
    async with nats_plane(tmp_path / "own", ("js",)) as plane:
        yield plane


async def doctor(address, token, home):
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "DROVER_URL": address, "DROVER_TOKEN": token}
    said = await drover(environ, "doctor", "-o", "json")
    assert said.returncode == Exit.UNREACHABLE, said
    return {each["what"]: each for each in json.loads(said.stdout)}


async def test_a_database_that_is_away_is_503_and_streams_go_on(nats, tmp_path, monkeypatch):
    monkeypatch.setattr(viewer_module, "CHECK_EVERY_S", 0.2)
    async with (
        mongod(tmp_path) as database,
        live_runs(nats) as runs,
        running(settings(nats, database)) as address,
        Client(address) as browser,
    ):
        await browser.log_in()
        token = (await browser.post("/tokens", {"label": "doctor"})).json["secret"]
        run = runs.begin()
        async with stream(browser, run) as events:
            await events.next()
            await database.kill()
            for path in ("/me", "/people"):
                answer = await browser.get(path)
                assert (answer.status, answer.reason) == (503, "storage.away")
            assert (await browser.log_in()).reason == "storage.away"
            await runs.change(run)
            assert (await events.next()).data["revision"] == 2
            answer = await browser.get("/readyz")
            assert (answer.status, answer.body) == (503, b"not ready: database\n")
            found = await doctor(address, token, tmp_path)
            assert {what for what, each in found.items() if each["state"] == "ok"} >= {"port", "server", "hub"}
            assert found["database"] == {
                "what": "database",
                "state": "wrong",
                "told": "the database does not answer",
                "remedy": "Start MongoDB, or look into its log.",
            }
            assert "skipped" not in {each["state"] for each in found.values()}
            await database.start()

            async def back():
                return (await browser.get("/people")).status == 200

            await until(back, "the gateway finds its database again")

            async def ready():
                return (await browser.get("/readyz")).status == 200

            await until(ready, "it says so")
            await runs.change(run)
            assert (await events.next()).data["revision"] == 3
        assert 'status="500"' not in (await browser.get("/metrics")).body.decode()
