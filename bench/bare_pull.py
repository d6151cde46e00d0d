"""The least that taking messages from a stream costs: nats-py itself, and one acknowledgement each.

Two ways: one continuous pull, which is the cheapest that we know, and nats-py's own `fetch`, which is what its
documentation shows. Spoken to by bench.ingest as bench.children says.
"""

import asyncio
import json
import ssl

from nats.aio.client import Client
from nats.aio.msg import Msg

from bench.children import Said, say, serve, told
from runtime.bus.streams import API

ORDERED_AT_ONCE = 1000
FETCHED_AT_ONCE = 500
FETCH_S = 30.0
EXPIRES_NS = 30_000_000_000


async def work() -> None:
    """Connect upon one line, take upon the next."""
    orders = told()
    async for order in orders:
        client = await connected(order)
        say(ready=True)
        await anext(orders)
        await (fetch if order["by_fetch"] else take)(client, order)
        say(taken=order["count"])
        await client.close()


async def connected(order: Said) -> Client:
    context = ssl.create_default_context(cafile=order["ca"])
    client = Client()
    await client.connect(
        servers=[order["url"]],
        user_credentials=order["credentials"],
        tls=context,
        tls_handshake_first=True,
        inbox_prefix=order["inbox"],
    )
    return client


async def take(client: Client, order: Said) -> None:
    """Take and acknowledge so many messages."""
    inbox, left, all_in = client.new_inbox(), order["count"], asyncio.Event()
    subject = f"{API}.CONSUMER.MSG.NEXT.{order['stream']}.{order['consumer']}"
    asked = 0

    async def ask() -> None:
        nonlocal asked
        wanted = min(2 * ORDERED_AT_ONCE - asked, left - asked)
        asked += wanted
        await client.publish(subject, json.dumps({"batch": wanted, "expires": EXPIRES_NS}).encode(), reply=inbox)

    async def received(message: Msg) -> None:
        nonlocal left, asked
        if message.headers and "Status" in message.headers:
            raise RuntimeError(f"the order ended: {message.headers}")
        await client.publish(message.reply, b"+ACK")
        left, asked = left - 1, asked - 1
        if left == 0:
            all_in.set()
        elif asked <= ORDERED_AT_ONCE and asked < left:
            await ask()

    await client.subscribe(inbox, cb=received)
    await ask()
    await all_in.wait()
    await client.flush()


async def fetch(client: Client, order: Said) -> None:
    """The same by nats-py's `fetch`."""
    subscription = await client.jetstream().pull_subscribe_bind(consumer=order["consumer"], stream=order["stream"])
    left = order["count"]
    while left:
        for message in await subscription.fetch(min(FETCHED_AT_ONCE, left), timeout=FETCH_S):
            await message.ack()
            left -= 1
    await client.flush()


if __name__ == "__main__":
    serve(work)
