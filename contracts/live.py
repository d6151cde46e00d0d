"""What one jobs instance asks another that holds a run. Nobody else asks it, so no registry lists it."""

from msgspec import Struct

from contracts.hosts import Token
from contracts.kinds import Call
from contracts.runs import Counts


class AskLive(Struct, frozen=True, kw_only=True):
    run: Token
    hosts: tuple[Token, ...] = ()


class LiveHosts(Struct, frozen=True, kw_only=True):
    """What only the instance that holds the run knows: where the hosts asked for stand, and how many stand where."""

    hosts: dict[str, str]
    counts: Counts


def live_hosts(instance: str) -> Call[AskLive, LiveHosts]:
    """Asks one jobs instance about a run it holds; services ask each other, people never see it."""
    return Call(f"jobs.at.{instance}.live", AskLive, LiveHosts, needs="runs:read", idempotent=True, reads=True)
