"""Fills the RESULTS stream with reports of many hosts, and waits until the stream has them. Spoken to by bench.ingest.

It speaks with the credentials of a relay, which may publish for every host of its IDC.
"""

import asyncio
from pathlib import Path

import msgspec

from bench.children import say, serve, told
from bench.documents import report
from contracts import subjects
from runtime.bus import Connection, Message, Options

WINDOW = 1000
"""Published without an answer. The server drops what comes faster than it writes."""
ANSWERED_S = 60


async def work() -> None:
    orders = told()
    order = await anext(orders)
    inbox = subjects.inbox(order["idc"], "bench")
    options = Options(
        name="bench",
        servers=(order["url"],),
        credentials=Path(order["credentials"]),
        ca=Path(order["ca"]),
        inbox=inbox,
    )
    connection = Connection(options)
    connection.start()
    await connection.wait_connected()
    answered = asyncio.Semaphore(WINDOW)

    async def heard(message: Message) -> None:
        if b"error" in message.data or message.no_responders:
            raise RuntimeError(f"the stream refuses: {message.data.decode() or 'nobody listens'}")
        answered.release()

    await connection.subscribe(f"{inbox}.stored", heard)
    say(ready=True)
    async for filling in orders:
        await fill(connection, answered, order["idc"], order["hosts"][: filling["count"]], filling["task"])
        say(stored=filling["count"])
    await connection.close()


async def fill(connection: Connection, answered: asyncio.Semaphore, idc: str, hosts: list[str], task: str) -> None:
    data, reply = msgspec.json.encode(report(task)), f"{connection.options.inbox}.stored"
    for host in hosts:
        await answered.acquire()
        headers = {"Nats-Msg-Id": f"{task}.{host}.0"}
        await connection.publish(subjects.result(idc, host, task), data, headers=headers, reply=reply)
    async with asyncio.timeout(ANSWERED_S):
        for _ in range(WINDOW):
            await answered.acquire()
    for _ in range(WINDOW):
        answered.release()


if __name__ == "__main__":
    serve(work)
