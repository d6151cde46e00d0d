"""What every conductor works with."""

from collections import Counter
from dataclasses import dataclass

from runtime.bus import Bus
from runtime.signing import Box
from services.jobs.dispatch.grants import Grants
from services.jobs.dispatch.part import Patience
from services.jobs.dispatch.ticker import Ticker
from services.jobs.results.store import OutcomeStore
from services.jobs.runs.store import RunStore
from services.jobs.runs.values import ValueStore


@dataclass(frozen=True, kw_only=True)
class Tools:
    bus: Bus
    runs: RunStore
    outcomes: OutcomeStore
    values: ValueStore
    grants: Grants
    box: Box
    ticker: Ticker
    patience: Patience
    counters: Counter[str]
