"""Changes that depend on who has which role come one after the other.

Two admins who disable each other at the same moment, or one who deletes a role while another gives it, would each
find the world as it should be; here both write one document, so that the second waits and looks again.
"""

import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from runtime.mongo import Database, DuplicateKeyError, Session, together

R = TypeVar("R")

_GUARD = "roles"


class Guard:
    def __init__(self, database: Database) -> None:
        self._guard = database["people_guard"]
        self._database = database

    async def prepare(self) -> None:
        """The document must be there: two who insert it at once do not wait for each other, they collide."""
        with contextlib.suppress(DuplicateKeyError):
            await self._guard.insert_one({"_id": _GUARD, "changes": 0})

    async def alone(self, work: Callable[[Session], Coroutine[Any, Any, R]]) -> R:
        """Run `work` in a transaction while no other of these runs. What it raises takes its writes back."""

        async def guarded(session: Session) -> R:
            await self._guard.update_one({"_id": _GUARD}, {"$inc": {"changes": 1}}, session=session)
            return await work(session)

        return await together(self._database, guarded)
