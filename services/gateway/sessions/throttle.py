"""Ten wrong passwords in a quarter of an hour, for one name or from one address, and the rest must wait.

Kept in MongoDB, so that it holds for all instances of the gateway together.
"""

from datetime import UTC, datetime

from services.gateway.edge.problems import too_many
from services.gateway.sessions.model import FAILURES_WITHIN, wait_for_login
from services.gateway.sessions.store import FailureStore


class Throttle:
    def __init__(self, store: FailureStore) -> None:
        self._store = store

    async def begin(self, name: str, address: str) -> str:
        """Count this attempt as failed until `succeeded`. Raises the refusal with 429.

        Counting first means that a hundred attempts at the same moment get no more guesses than ten in a row.
        """
        now = datetime.now(UTC)
        attempt = await self._store.add(name, address, now)
        since = now - FAILURES_WITHIN
        wait = max(
            wait_for_login(await self._store.of_name(name, since, but=attempt), now),
            wait_for_login(await self._store.of_address(address, since, but=attempt), now),
        )
        if wait > 0:
            await self._store.remove(attempt)  # what was not tried does not lengthen the wait
            raise too_many(wait)
        return attempt

    async def succeeded(self, attempt: str) -> None:
        await self._store.remove(attempt)
