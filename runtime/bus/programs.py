"""What bounds the programs that ask: the resources service keeps it, every other one asks for it.

A credential says which calls a program may make; among which objects stands here, so that it can change without a new
credential.
"""

import asyncio
from collections.abc import Awaitable, Callable

from contracts.people import Principal
from contracts.permissions import OF_PROGRAMS, Grant, Scope

FRESH_S = 3.0
"""How old an answer may be; a change of bounds counts everywhere after this."""
MOST = 1000
"""Programs that are remembered."""

ScopesOf = Callable[[str], Awaitable[tuple[Scope, ...]]]
"""Name of a program → where it may do what its credential allows; nowhere if it is unknown or revoked."""


class Programs:
    def __init__(self, scopes_of: ScopesOf, *, fresh_s: float = FRESH_S) -> None:
        self._scopes_of, self._fresh_s = scopes_of, fresh_s
        self._known: dict[str, tuple[float, asyncio.Task[tuple[Scope, ...]]]] = {}

    async def principal(self, name: str) -> Principal:
        """Raises what asking raises."""
        scopes = await self._scopes(name)
        grants = tuple(Grant(permissions=tuple(sorted(OF_PROGRAMS)), scope=scope) for scope in scopes)
        return Principal(kind="integration", name=name, grants=grants)

    async def _scopes(self, name: str) -> tuple[Scope, ...]:
        """While an answer is fresh or on its way, nobody asks again."""
        now = asyncio.get_running_loop().time()
        until, asking = self._known.get(name, (0.0, None))
        if asking is None or now >= until or (asking.done() and asking.exception() is not None):
            if len(self._known) >= MOST:
                self._known.clear()
            asking = asyncio.ensure_future(self._scopes_of(name))
            self._known[name] = now + self._fresh_s, asking
        return await asyncio.shield(asking)
