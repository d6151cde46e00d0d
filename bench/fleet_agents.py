"""Many real agents in one process, each with its own identity, folder and connection. Spoken to by bench.fleet."""

import asyncio
import sys
from pathlib import Path

# As agent/__main__.py has it: an agent does not carry aiohttp.
sys.modules["aiohttp"] = None  # type: ignore[assignment]

from agent.app import Agent  # noqa: E402
from agent.kit import Household  # noqa: E402
from agent.memory import settle  # noqa: E402
from agent.settings import Limits, Settings  # noqa: E402
from bench.children import say, serve, told  # noqa: E402

CONNECTING_AT_ONCE = 20


async def work() -> None:
    orders = told()
    order = await anext(orders)
    # The spawner leaves by itself soon after the agents, so that nothing stays behind.
    limits = Limits(spawner_idle_s=5, **order["limits"])
    house = Household(Path(order["spawner"]), limits)
    house.start()
    agents = [Agent(Settings(root=Path(root), limits=limits), house) for root in order["roots"]]
    try:
        slots = asyncio.Semaphore(CONNECTING_AT_ONCE)
        await asyncio.gather(*(_start(agent, slots) for agent in agents))
        settle(len(agents))
        say(connected=len(agents))
        async for _ in orders:
            say(unstored=sum(len(agent.parts.tasks) for agent in agents))
    finally:
        await asyncio.gather(*(agent.stop() for agent in agents), return_exceptions=True)
        await house.close()


async def _start(agent: Agent, slots: asyncio.Semaphore) -> None:
    async with slots:
        await agent.start()
        await agent.parts.connection.wait_connected()


if __name__ == "__main__":
    serve(work)
