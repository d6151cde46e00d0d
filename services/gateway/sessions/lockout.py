"""Ten wrong passwords in a quarter of an hour, for one name or from one address, and the rest must wait.

Names that nobody has are locked out as well: otherwise the lockout would tell who is here. Kept in MongoDB, so that it
holds for all instances of the gateway together.
"""

from datetime import UTC, datetime

import structlog

from contracts.errors import Invalid
from contracts.people import Principal
from contracts.sessions import LiftedLockout, LiftLockout
from services.gateway.edge.problems import wait
from services.gateway.sessions.model import FAILURES, FAILURES_WITHIN, wait_for_login
from services.gateway.sessions.store import FailureStore

log = structlog.get_logger()


class Lockout:
    def __init__(self, store: FailureStore) -> None:
        self._store = store

    async def begin(self, name: str, address: str) -> str:
        """Count this attempt as failed until `succeeded`. Raises the refusal with 429.

        Counting first means that a hundred attempts at the same moment get no more guesses than ten in a row.
        """
        now = datetime.now(UTC)
        attempt = await self._store.add(name, address, now)
        since = now - FAILURES_WITHIN
        seconds = max(
            wait_for_login(await self._store.of_name(name, since, but=attempt), now),
            wait_for_login(await self._store.of_address(address, since, but=attempt), now),
        )
        if seconds > 0:
            await self._store.remove(attempt)  # what was not tried does not lengthen the wait
            log.info("login.locked_out", address=address)
            raise wait("auth.locked_out", f"{FAILURES} failed logins for this name or from this address", seconds)
        return attempt

    async def succeeded(self, attempt: str) -> None:
        await self._store.remove(attempt)

    async def lift(self, request: LiftLockout, principal: Principal) -> LiftedLockout:
        """Raises Invalid if nothing is named: nobody means to forget everything."""
        if not request.name and not request.address:
            raise Invalid("lockout.nothing_named", "Name whose failed logins to forget: a name, an address, or both.")
        forgotten = await self._store.forget(request.name, request.address)
        log.info("lockout.lifted", person=request.name, address=request.address, by=principal.name)
        return LiftedLockout(forgotten=forgotten)
