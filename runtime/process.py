"""Runs one process until it is told to stop."""

import asyncio
import signal
from collections.abc import Awaitable, Callable


def run(serve: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Call `serve(stop)`; TERM and INT set `stop`, upon which serve finishes what it took and returns."""

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(stop)

    asyncio.run(main())
