"""The real servers, as tests speak of them: what never comes is a failed assertion."""

from collections.abc import Awaitable, Callable

from bootstrap import servers
from bootstrap.servers import READY_S, Mongod, NatsPlane, Server, free_ports, mongod, nats_plane

__all__ = ["READY_S", "Mongod", "NatsPlane", "Server", "free_ports", "mongod", "nats_plane", "until"]


async def until(probe: Callable[[], bool | Awaitable[bool]], what: str, timeout_s: float = READY_S) -> None:
    """Ask `probe` until it is true, and fail with `what` when it never is."""
    try:
        await servers.until(probe, what, timeout_s)
    except servers.NotReady as error:
        raise AssertionError(str(error)) from None
