"""A run, its waves, and how it may move. Pure: no clock, no database, no bus."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec import Struct, field

from contracts.agents import Language
from contracts.errors import Conflict
from contracts.hosts import Targets
from contracts.people import Principal
from contracts.runs import MASK, Action, Counts, Parameter, Refusal, Run, RunChanged, StoredScript
from contracts.states import GOOD, RUN_MOVES, Live, Outcome, RunState
from services.jobs.runs.visibility import Whose

FINISHED = frozenset({Outcome.SUCCEEDED, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.REFUSED, Outcome.SKIPPED})
"""Outcomes that came by themselves. A run whose every host has one of these was not stopped, whoever tried."""

MOST_ACTIONS = 200
"""Every action is kept with the run and travels with it, so their number has an end."""


class KeptParameter(Struct, frozen=True, kw_only=True):
    """A parameter at rest: a masked one has no value, only what the service's key opens."""

    name: str
    masked: bool
    value: str = ""
    sealed: bytes = b""


class RunRecord(Struct, frozen=True, kw_only=True):
    """A run as it is kept; see docs/documents.md."""

    id: str = field(name="_id")
    name: str
    state: RunState
    revision: int
    """Counts every move. Who moves a run compares it, so that of two only one succeeds."""
    owner: str
    """The instance that sends commands for it."""
    by: Principal
    created_at: datetime
    started_at: datetime | None = None
    sending_at: datetime | None = None
    """Since when hosts of the newest try are sent commands; None: not yet, or from before that was noted."""
    ended_at: datetime | None = None
    language: Language
    script: str
    script_sha256: str
    stored: StoredScript | None = None
    args: tuple[str, ...]
    parameters: tuple[KeptParameter, ...]
    env: dict[str, str]
    variables: str = ""
    """Those that the run itself brings, as JSON; empty: none."""
    needs_variables: bool = False
    variables_at: datetime | None = None
    refusal: Refusal | None = None
    account: str | None
    account_alias: str = ""
    """Empty: it is from before there were aliases."""
    timeout_s: int
    kill_grace_s: int
    offline_wait_s: int
    targets: Targets
    hosts: int
    businesses: tuple[str, ...] | None = None
    """Of its hosts when it started; None: from before that was noted."""
    targets_hash: str
    tries: int
    counts: Counts
    actions: tuple[Action, ...]
    verdicts: int = 0
    """How many verdicts were given, so that ingest knows whether a report may be a late one."""
    recount: int = 0
    """Not 0: its counts may be behind its outcomes. Counts up, so that who counts sees whether more came meanwhile."""
    idempotency: str = ""
    content: str = ""
    """Keyed hash of the request, to tell a repetition from another request with the same key."""

    def to(self, state: RunState) -> RunState:
        """`state`, if the run may move there now; raises Conflict."""
        if state not in RUN_MOVES[self.state]:
            raise Conflict("run.wrong_state", f"The run is {self.state}, so it cannot become {state} now.")
        return state

    @property
    def whose(self) -> Whose:
        return Whose(self.by, self.businesses)

    def action(self, what: str) -> Action:
        """The newest action of that kind; raises LookupError."""
        return next(each for each in reversed(self.actions) if each.what == what)


class Target(Struct, frozen=True, kw_only=True):
    """A host as it was when the wave was made."""

    id: str
    idc: str
    ip: str
    hostname: str
    box_key: str


class Wave(Struct, frozen=True, kw_only=True):
    """The hosts that get one task together, written before anything is sent."""

    id: str = field(name="_id")
    run: str
    step: int
    attempt: int = field(name="try")
    number: int = field(name="wave")
    started_at: datetime
    hosts: tuple[Target, ...]


class Fact(NamedTuple):
    """What an outcome document says, in brief."""

    task: str
    host: str
    report: bool
    """False: a verdict."""
    outcome: Outcome


def task_id(run: str, step: int, attempt: int, wave: int) -> str:
    return f"{run}-{step}-{attempt}-{wave}"


def run_of(task: str) -> str:
    """The run of a task; some other text if it is no task of ours."""
    return task.split("-", 1)[0]


def newest_tasks(hosts: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Host → its newest task. Takes task → its hosts, in any order."""
    return {host: task for task in sorted(hosts, key=_order) for host in hosts[task]}


def _order(task: str) -> tuple[int, ...]:
    return tuple(int(part) for part in task.split("-")[1:])


def hosts_by_task(waves: Iterable[Wave]) -> dict[str, list[str]]:
    return {wave.id: [target.id for target in wave.hosts] for wave in waves}


def outcomes(newest: Mapping[str, str], facts: Iterable[Fact]) -> dict[str, Outcome]:
    """Host → outcome of its newest task; a report wins over a verdict."""
    found: dict[str, Outcome] = {}
    reported: set[str] = set()
    for fact in facts:
        if newest.get(fact.host) != fact.task:
            continue
        if fact.report:
            reported.add(fact.host)
        if fact.report or fact.host not in reported:
            found[fact.host] = fact.outcome
    return found


def tally(states: Iterable[str]) -> Counts:
    numbers: dict[str, int] = {}
    for state in states:
        numbers[state] = numbers.get(state, 0) + 1
    return Counts(**numbers)


def counts_of(newest: Mapping[str, str], facts: Iterable[Fact]) -> Counts:
    found = outcomes(newest, facts)
    return tally(found.get(host, Live.PENDING) for host in newest)


def add(one: Counts, other: Counts) -> Counts:
    return Counts(**{name: getattr(one, name) + getattr(other, name) for name in Counts.__struct_fields__})


def end_state(state: RunState, counts: Counts) -> RunState:
    """Where a run goes once every host has an outcome."""
    having = {Outcome(name) for name in Outcome if getattr(counts, name)}
    if state is RunState.STOPPING and not having <= FINISHED:
        return RunState.STOPPED
    return RunState.SUCCEEDED if having <= GOOD else RunState.FAILED


def to_retry(waves: Sequence[Wave], facts: Iterable[Fact]) -> tuple[Target, ...]:
    """Hosts whose newest outcome is not a good one, in the order of their ids."""
    found = outcomes(newest_tasks(hosts_by_task(waves)), facts)
    hosts = {target.id: target for wave in waves for target in wave.hosts}
    return tuple(hosts[host] for host in sorted(hosts) if found.get(host) not in GOOD)


def shown(record: RunRecord, counts: Counts | None = None) -> Run:
    """The run as people and programs see it. `counts`: newer ones than those kept."""
    parameters = tuple(
        Parameter(name=each.name, value=MASK if each.masked else each.value, masked=each.masked)
        for each in record.parameters
    )
    fields = {name: getattr(record, name) for name in Run.__struct_fields__}
    variables = msgspec.json.decode(record.variables) if record.variables else {}
    told = {"parameters": parameters, "counts": counts or record.counts, "variables": variables}
    return Run(**{**fields, **told})


def changed(record: RunRecord, counts: Counts) -> RunChanged:
    return RunChanged(run=record.id, revision=record.revision, state=record.state, hosts=record.hosts, counts=counts)


def document(value: Struct) -> dict[str, object]:
    """As MongoDB takes it: dates and bytes as they are, everything else plain."""
    built: dict[str, object] = msgspec.to_builtins(value, builtin_types=(datetime, bytes))
    return built
