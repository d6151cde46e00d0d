"""Many simulated agents in one process, each with its own credentials and connection. Spoken to by bench.plane.

They also answer bare messages on their inbox, with as many bytes as a report has: the limit goes over the very same
connections.
"""

import asyncio
import sys
from pathlib import Path

# As agent/__main__.py has it: an agent does not carry aiohttp.
sys.modules["aiohttp"] = None  # type: ignore[assignment]

from agent.memory import settle  # noqa: E402
from bench.children import Said, say, serve, told  # noqa: E402
from bench.simulated_agent import SimulatedAgent  # noqa: E402
from contracts import subjects  # noqa: E402
from runtime.bus import Connection, Message, Options  # noqa: E402

CONNECTING_AT_ONCE = 20
BARE = "bare"
REPLY = b"r" * 400


async def work() -> None:
    orders = told()
    order = await anext(orders)
    agents = [_agent(order, *host) for host in order["hosts"]]
    try:
        slots = asyncio.Semaphore(CONNECTING_AT_ONCE)
        await asyncio.gather(*(_start(agent, slots) for agent in agents))
        settle(len(agents))
        say(connected=len(agents))
        async for _ in orders:
            say(unstored=sum(len(agent.unstored) for agent in agents))
    finally:
        await asyncio.gather(*(agent.close() for agent in agents), return_exceptions=True)


def _agent(order: Said, host: str, idc: str, relay: str) -> SimulatedAgent:
    options = Options(
        name=host,
        servers=(relay,),
        credentials=Path(order["credentials"]) / host,
        ca=Path(order["ca"]),
        inbox=subjects.inbox(idc, host),
    )
    return SimulatedAgent(Connection(options), idc, host, order["keys"])


async def _start(agent: SimulatedAgent, slots: asyncio.Semaphore) -> None:
    subject = subjects.ack(agent.idc, agent.host, BARE)

    async def answer(_: Message) -> None:
        await agent.connection.publish(subject, REPLY)

    async with slots:
        await agent.connection.subscribe(subjects.inbox(agent.idc, agent.host, BARE), answer)
        await agent.start()


if __name__ == "__main__":
    serve(work)
