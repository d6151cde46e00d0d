"""Who is not heard any more is offline, and that is told once."""

import pytest_asyncio

from tests.resources.conftest import service
from tests.servers import until


@pytest_asyncio.fixture(scope="module")
async def plane(nats, mongo):
    """A host is offline after nine seconds."""
    async with service(nats, mongo.url, heartbeat_s=3) as asker:
        yield asker


async def test_two_instances_announce_each_change_once(ask, enrolled, told):
    agents = [await enrolled() for _ in range(8)]
    for times in (1, 2):  # a second announcement of the first round would be heard in the second one
        for agent in agents:
            await agent.heartbeat()
        for agent in agents:
            await until(lambda one=(agent.host, "offline"), n=times: told.count(one) == n, "all go offline")
            assert not (await ask.show(agent.host)).presence.online
    for agent in agents:
        mine = [what for host, what in told if host == agent.host]
        assert mine == ["enrolled", "online", "offline", "online", "offline"]
