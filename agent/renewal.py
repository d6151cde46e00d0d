"""Renews the agent's credentials when half of their life is over, long before the servers would cut it off."""

import asyncio
import random
import time

import structlog

from agent import identity
from agent.kit import Kit
from contracts.agents import AgentCall
from contracts.errors import ServiceError
from contracts.hosts import RenewCredentials, Renewed
from runtime import nats_jwt
from runtime.background import ended
from runtime.bus import Bus

SHORTEST_WAIT_S, LONGEST_WAIT_S = 1.0, 3600.0

log = structlog.get_logger()


def due_in(jwt: str, now: float, spread: float) -> float | None:
    """Seconds until the JWT is to be renewed, None if it never expires. `spread`, -1 to 1, moves that by a tenth of its
    life, so that hosts that enrolled together do not renew together. Raises nats_jwt.BadToken. Pure."""
    claims = nats_jwt.read(jwt)
    expires = claims.get("exp")
    if expires is None:
        return None
    life = float(expires) - float(claims["iat"])
    return max(0.0, float(claims["iat"]) + life * (0.5 + 0.1 * spread) - now)


class Renewal:
    def __init__(self, kit: Kit, bus: Bus) -> None:
        self._kit = kit
        self._bus = bus
        self._spread = random.uniform(-1, 1)  # noqa: S311  spreads load
        self._renewing: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._renewing = asyncio.create_task(self._serve(), name=f"renewal {self._kit.host}")

    async def close(self) -> None:
        if self._renewing is not None:
            await ended(self._renewing)

    async def _serve(self) -> None:
        wait = SHORTEST_WAIT_S
        while True:
            try:
                jwt, _ = identity.read_credentials(self._kit.folder)
                due = due_in(jwt, time.time(), self._spread)
                if due is None:
                    return
                await asyncio.sleep(due)
                await self.renew()
                wait = SHORTEST_WAIT_S
            except (ServiceError, OSError, nats_jwt.BadToken) as error:
                self._kit.counters["renewal_failed"] += 1
                log.warning("credentials.not_renewed", host=self._kit.host, error=str(error)[:200], wait_s=round(wait))
                await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311  spreads load
                wait = min(wait * 2, LONGEST_WAIT_S)

    async def renew(self) -> None:
        """Raises ServiceError when nobody renews them, OSError when they cannot be written."""
        kit = self._kit
        answer = await self._bus.ask_services(kit.idc, kit.host, AgentCall.RENEW, RenewCredentials(), Renewed)
        _, key = identity.read_credentials(kit.folder)
        if nats_jwt.read(answer.jwt)["sub"] != key.public:
            raise nats_jwt.BadToken("the renewed JWT is for another key")
        await kit.house.worker.run(lambda: identity.write_credentials(kit.folder, answer.jwt, key.seed))
        self._kit.counters["renewed"] += 1
        await kit.connection.reconnect()
