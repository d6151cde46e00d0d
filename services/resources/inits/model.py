"""What a run made of the hosts that it was to prepare. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from contracts.edits import HostEvent, OriginKind
from contracts.hosts import Host, HostState
from contracts.inits import HostInit
from contracts.people import Principal
from contracts.runs import HostResult
from contracts.states import Outcome
from services.resources.history.model import Author
from services.resources.hosts import model


@dataclass(frozen=True)
class Followed:
    init: HostInit
    hosts: tuple[str, ...]
    credential: str
    """Which session or API token asked for it."""
    seen: int = 0
    """The run's revision when it was last looked at."""


def own(principal: Principal, by: Principal) -> bool:
    """Whether a run is this principal's; of an API token with limits, what it started itself, as jobs has it."""
    same = (principal.kind, principal.name) == (by.kind, by.name)
    return same and (not principal.limited or principal.credential == by.credential)


def author(init: HostInit) -> Author:
    return Author(OriginKind.DROVER, f"run {init.run}", init.by)


def sorted_out(followed: Followed, results: Iterable[HostResult]) -> tuple[list[str], list[HostResult]]:
    """On which of its hosts the run succeeded, and what the others came to."""
    hosts = set(followed.hosts)
    ours = [each for each in results if each.host in hosts]
    succeeded = sorted(each.host for each in ours if each.state == Outcome.SUCCEEDED)
    return succeeded, [each for each in ours if each.state != Outcome.SUCCEEDED]


def moving(init: HostInit, at: datetime) -> Callable[[Host], Host]:
    def decide(host: Host) -> Host:
        if host.state is not HostState.DEPLOYING:  # somebody moved it meanwhile
            return host
        return model.changed(host, {"state": HostState(init.then.value)}, by=init.by, at=at)

    return decide


def not_prepared(host: Host, init: HostInit, result: HostResult, at: datetime) -> HostEvent:
    """The entry of a host that stays: one for each try of the run, however often it is made."""
    why = result.reason or (f"exit status {result.exit_code}" if result.exit_code is not None else "")
    return HostEvent(
        id=f"{host.id}:{host.revision:08}:{result.task}",
        host=host.id,
        revision=host.revision,
        origin=author(init).origin(at),
        by=init.by,
        changes=[],
        note=f"stays in {host.state}: {result.state}" + (f", {why}" if why else ""),
    )
