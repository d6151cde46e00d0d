"""The service as a process: told by its environment, seen on its health port, stopped by a signal."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from bootstrap import environment
from bootstrap.environment import Addresses
from contracts import hosts
from contracts.hosts import ListHosts
from runtime.settings import BadSettings, load
from services.resources.app import running
from services.resources.settings import Settings
from tests.conftest import service_bus
from tests.resources.people import ADMIN
from tests.servers import READY_S, until

PROJECT = Path(__file__).parents[2]


def environ(nats, mongo):
    addresses = Addresses(hub=nats.hub_url, relays=nats.leaf_urls, mongo=mongo.url)
    return environment.resources(nats.trust, addresses, 0)


async def test_it_starts_answers_and_ends_upon_term(nats, mongo, tmp_path):
    log = tmp_path / "log"
    told = {**os.environ, **environ(nats, mongo), "RESOURCES_MONGO_DATABASE": "process"}
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.resources", env=told, cwd=PROJECT, stdout=out, stderr=out
        )
    try:
        await until(lambda: "resources.serving" in log.read_text(), "it serves")
        async with service_bus(nats, "gateway") as bus:
            assert (await bus.call(hosts.list_hosts, ListHosts(), principal=ADMIN)).hosts == []
        [listening] = [line for line in log.read_text().splitlines() if "health.listening" in line]
        port = re.search(r"'127\.0\.0\.1', (\d+)", listening)[1]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            for page in ("healthz", "readyz"):
                async with http.get(f"/{page}") as answer:
                    assert (answer.status, await answer.text()) == (200, "ok\n")
            async with http.get("/metrics") as answer:
                assert 'drover_bus_events_total{kind="answered_ok"}' in await answer.text()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), READY_S) == 0
        assert "Traceback" not in log.read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RELAYS", "not json", "RESOURCES_RELAYS"),
        ("RELAYS", '{"js": "tls://one"}', "RESOURCES_RELAYS"),
        ("RELAYS", '{"jobs": ["tls://a:1"]}', "cannot be called 'jobs'"),
        ("RELAYS", '{"i-x": ["tls://a:1"]}', "cannot be called 'i-x'"),
        ("RELAYS", '{"a.b": ["tls://a:1"]}', "RESOURCES_RELAYS"),
        ("RELAYS", '{"*": ["tls://a:1"]}', "RESOURCES_RELAYS"),
        ("COMMAND_KEYS", "AAAA", "RESOURCES_COMMAND_KEYS"),
        ("COMMAND_KEYS", "*", "RESOURCES_COMMAND_KEYS"),
    ],
)
async def test_settings_that_make_no_sense_stop_it_with_a_line(nats, mongo, name, value, said):
    settings = load(Settings, "RESOURCES_", environ(nats, mongo) | {f"RESOURCES_{name}": value})
    with pytest.raises(BadSettings, match=re.escape(said)):
        async with running(settings):
            pass


@pytest.mark.parametrize("name", ["AGENT_SIGNING_SEED", "OPERATOR_SIGNING_SEED", "ACCOUNT_JWT"])
async def test_keys_that_are_none_stop_it_with_a_line(nats, mongo, name):
    told = {key: value for key, value in environ(nats, mongo).items() if not key.startswith(f"RESOURCES_{name}")}
    settings = load(Settings, "RESOURCES_", told | {f"RESOURCES_{name}": "nonsense"})
    with pytest.raises(BadSettings, match="RESOURCES_"):
        async with running(settings):
            pass
