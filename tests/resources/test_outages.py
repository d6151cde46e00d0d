"""What the service depends on goes away and comes back. Servers of these tests are their own."""

import asyncio
import json
import time

import pytest

from contracts.errors import Unavailable
from contracts.hosts import HostFacts
from tests.resources.conftest import service
from tests.resources.people import Agent, Keys
from tests.servers import mongod, until

WINDOW_S = 7.5
"""A host that was silent for so long is offline."""


async def test_what_was_heard_while_the_database_was_away_is_written_later(nats, tmp_path):
    async with mongod(tmp_path) as own, service(nats, own.url, instances=1, heartbeat_s=30) as ask:
        keys = Keys()
        enrolled = await ask.enrol(await ask.token(), HostFacts(hostname="old"), keys)
        async with Agent(tmp_path, keys, enrolled) as agent:
            await own.kill()
            await agent.hello(HostFacts(hostname="new"))
            [counters] = [each.counters for each in ask.services]
            await until(lambda: counters["presence_failed"] > 0, "a write failed")
            with pytest.raises(Unavailable) as told:
                await ask.show(agent.host)
            assert told.value.reason == "storage.away"
            await own.start()

            async def written():
                return (await ask.database["hosts"].find_one({"_id": agent.host}))["hostname"] == "new"

            await until(written, "what was heard is written")
            assert (await ask.show(agent.host)).hostname == "new"


async def test_who_was_heard_while_the_database_was_away_is_not_taken_for_gone(nats, tmp_path):
    told = []

    async def hear(message):
        told.append(json.loads(message.data)["what"])

    async with mongod(tmp_path) as own, service(nats, own.url, instances=1, heartbeat_s=WINDOW_S / 3) as ask:
        await ask.bus.hear("evt.resources.host.>", hear)
        keys = Keys()
        async with Agent(tmp_path, keys, await ask.enrol(await ask.token(), keys=keys)) as agent:
            beating = asyncio.create_task(_beat(agent))
            await until(lambda: "online" in told, "it is online")
            [counters] = [each.counters for each in ask.services]
            await own.kill()
            gone_at = time.monotonic()
            await until(
                lambda: counters["presence_failed"] > 3 and time.monotonic() - gone_at > WINDOW_S,
                "writes failed for longer than a host may be silent",
            )
            await own.start()

            async def written():
                return (await ask.show(agent.host)).presence.online

            await until(written, "it is online still")
            beating.cancel()
            await until(lambda: "offline" in told, "it is gone when it is silent")
        assert told == ["enrolled", "online", "offline"]


async def _beat(agent):
    while True:
        await agent.heartbeat()
        await asyncio.sleep(0.2)
