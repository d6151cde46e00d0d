"""Several writes that count together or not at all."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo.read_concern import ReadConcern

from contracts.errors import Unavailable
from runtime.mongo import Database

LONGEST_S = 4.0
"""New attempts begin no later than this."""

Session = AsyncIOMotorClientSession
R = TypeVar("R")


async def together(database: Database, work: Callable[[Session], Awaitable[R]]) -> R:
    """Run `work` in one transaction, again if another one was in its way; what it raises undoes it.

    Raises Unavailable if that does not succeed while somebody still waits for the answer.
    """
    until = asyncio.get_running_loop().time() + LONGEST_S
    async with await database.client.start_session() as session:

        async def attempt(session: Session) -> R:
            if asyncio.get_running_loop().time() > until:
                raise Unavailable("storage.away", "The database did not take the change in time. Try again.")
            return await work(session)

        done: Any = await session.with_transaction(
            attempt, read_concern=ReadConcern("snapshot"), write_concern=database.write_concern
        )
        result: R = done
        return result
