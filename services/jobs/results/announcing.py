"""Events about results, in pieces that fit the bus."""

from collections.abc import Iterable, Sequence

from contracts import runs
from contracts.runs import HostOutcome, OutcomesStored, OutputStored
from runtime.bus import Bus
from runtime.paging import fitting
from services.jobs.paging import cut

MOST_BYTES = 400 * 1024
MOST_HOSTS = 500
MOST_MESSAGE_BYTES = 500
"""Events are for seeing at a glance; the whole text is in the outcome."""


def brief(message: str) -> str:
    return cut(message, MOST_MESSAGE_BYTES)


async def announce_outcomes(bus: Bus, run: str, outcomes: Sequence[HostOutcome]) -> None:
    rest = list(outcomes)
    while rest:
        told = fitting(rest[:MOST_HOSTS], MOST_BYTES)
        await bus.announce(runs.outcomes_stored, OutcomesStored(run=run, outcomes=told))
        rest = rest[len(told) :]


async def announce_output(bus: Bus, run: str, hosts: Iterable[str]) -> None:
    rest = sorted(hosts)
    while rest:
        await bus.announce(runs.output_stored, OutputStored(run=run, hosts=rest[:MOST_HOSTS]))
        rest = rest[MOST_HOSTS:]
