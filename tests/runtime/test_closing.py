"""A connection can be closed at any moment of an attempt to connect."""

import asyncio
import random

from tests.hosts import host_connection, write_credentials
from tests.servers import READY_S


async def test_connections_that_are_refused_can_be_closed_at_any_moment(nats, tmp_path):
    """Each close meets another moment of the login; a cancellation that gets lost there would leave it waiting."""
    moments = random.Random(7)

    async def closes(number):
        connection = host_connection(nats, tmp_path, "js", f"h-{number}")
        write_credentials(nats, tmp_path, "js", f"h-{number}", lifetime_s=-10)
        connection.start()
        await asyncio.sleep(moments.uniform(0.002, 0.12))
        closed, _ = await asyncio.wait({asyncio.create_task(connection.close())}, timeout=READY_S)
        assert closed

    for first in range(0, 300, 10):
        await asyncio.gather(*(closes(first + number) for number in range(10)))
