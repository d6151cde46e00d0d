"""A service is ready while both the hub and the database answer."""

import os
import signal
import time

import aiohttp
import pytest

from runtime import mongo as runtime_mongo
from runtime.health import HealthServer
from runtime.mongo import PULSE_S, Pulse
from tests.conftest import service_bus
from tests.servers import free_ports, mongod, until


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["gone", "hanging"])
async def test_a_service_is_not_ready_without_its_database_and_says_so_soon(nats, tmp_path, how):
    [port] = free_ports(1)
    async with mongod(tmp_path) as server, service_bus(nats, "jobs") as bus, aiohttp.ClientSession() as http:
        database = await runtime_mongo.connect(server.url, "health")
        async with HealthServer(bus, Pulse(database), host="127.0.0.1", port=port):

            async def readyz():
                async with http.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    return answer.status, await answer.text()

            async def away():
                started = time.monotonic()
                said = await readyz()
                assert time.monotonic() - started < PULSE_S + 0.4
                return said == (503, "not ready: database\n")

            assert await readyz() == (200, "ok\n")
            os.kill(server.server.pid, how)
            await until(away, "it says what is missing")
            if how == signal.SIGSTOP:
                os.kill(server.server.pid, signal.SIGCONT)

                async def back():
                    return await readyz() == (200, "ok\n")

                await until(back, "it is ready again")
        database.client.close()


class Counting:
    """A client that counts what it is asked."""

    def __init__(self):
        self.client = self.admin = self
        self.asked = 0

    async def command(self, _):
        self.asked += 1


async def test_many_questions_at_once_are_one_to_the_database():
    counting = Counting()
    pulse = Pulse(counting)
    assert [await pulse.beats() for _ in range(50)] == [True] * 50
    assert counting.asked == 1
