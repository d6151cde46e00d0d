"""Work that goes on beside the requests, from the start of a part to its end."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

AGAIN_S = 0.5


@asynccontextmanager
async def background(name: str, *works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run endless `works` until the block is left; then cancel them and wait for their end."""
    tasks = [asyncio.create_task(work, name=name) for work in works]
    try:
        yield
    finally:
        await ended(*tasks)


async def ended(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the tasks until they have ended, and forget how.

    One cancellation is not enough: asyncio.wait_for of Python 3.11 forgets one that comes in the moment its work ends,
    and nats-py uses it everywhere. Of connections that were being refused, 3 % could not be closed (measured).
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
