"""What the bus wants of an audit trail. The trail itself is in `runtime.audit`: it keeps a database, agents do not."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from contracts.kinds import Call
from contracts.people import Principal

R = TypeVar("R")


class Auditor(Protocol):
    async def carried_out(
        self, call: Call[Any, Any], request: Any, who: Principal, work: Callable[[], Awaitable[R]]
    ) -> R:
        """Write that it is asked for, do it, write how it ended; the reply of `work`, or what it raises.

        Raises Unavailable if the first cannot be written, and then nothing was done.
        """

    def denied(self, call: Call[Any, Any], request: Any, who: Principal, reason: str) -> None:
        """Note that somebody was refused before anything happened: without the permission, or since the `request`,
        which then is None, could not be read. Of a flood some are counted only."""

    async def settled(self) -> None:
        """Wait until everything that was noted is written, or cannot be."""
