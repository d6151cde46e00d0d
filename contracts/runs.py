"""Runs: scripts on hosts, their results and output. Spoken by the jobs service."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from contracts.accounts import AccountName
from contracts.agents import Language
from contracts.hosts import Limit, Targets, Token
from contracts.kinds import Call, Event, get, post
from contracts.people import Principal
from contracts.states import Outcome, RunState
from contracts.tokens import END

NO_NUL = r"^[^\x00]*$"
Word = Annotated[str, Meta(max_length=8192, pattern=NO_NUL)]
Variable = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}" + END)]
MASK = "••••••"
"""What stands where a masked value was."""


ScriptName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}" + END)]


class StoredScript(Struct, frozen=True, kw_only=True):
    name: ScriptName
    version: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """0: the one that is online."""


class Parameter(Struct, frozen=True, kw_only=True):
    """Read in the script by `drover_param NAME`. A masked value is sealed to each host and never shown again."""

    name: Variable
    value: Word
    masked: bool = False


class StartRun(Struct, frozen=True, kw_only=True):
    """Run a script once on every chosen host: a text, or a stored script by its name."""

    script: Annotated[str, Meta(pattern=NO_NUL)] = ""
    stored: StoredScript | None = None
    """In place of `script` and `language`. Parameters are checked against what it declares."""
    language: Language = Language.SHELL
    targets: Targets
    name: Annotated[str, Meta(max_length=200)] = ""
    args: Annotated[tuple[Word, ...], Meta(max_length=256)] = ()
    parameters: Annotated[tuple[Parameter, ...], Meta(max_length=64)] = ()
    env: Annotated[dict[Variable, Word], Meta(max_length=64)] = {}
    variables: Annotated[dict[str, Any], Meta(max_length=256)] = {}
    """Win over those of hosts and groups; at most 16 KiB as JSON. Shown to whoever sees the run."""
    needs_variables: bool = False
    """Send the hosts their variables although neither the script names `drover_var` or `drover.var`, nor the run
    brings any."""
    account: AccountName | None = None
    """The alias of an account. Left out: the default of the hosts' groups, or else `agent`, which the agent runs as."""
    timeout_s: Annotated[int, Meta(ge=1, le=259_200)] = 7200
    kill_grace_s: Annotated[int, Meta(ge=0, le=600)] = 10
    """Between TERM and KILL when the script is stopped or out of time."""
    offline_wait_s: Annotated[int, Meta(ge=0, le=86_400)] = 15
    """How long hosts that are away may take to come back before they count as offline."""
    expect_hash: str = ""
    """The hash of a set of targets seen before; the run is refused if the set is another now."""
    idempotency_key: Annotated[str, Meta(max_length=200)] = ""
    """The same key and content answers with the run that exists; the same key with other content is refused."""


class Action(Struct, frozen=True, kw_only=True):
    """Something a person or program did to the run."""

    what: str
    by: Principal
    at: datetime
    why: str = ""


class Counts(Struct, frozen=True, kw_only=True):
    """Hosts by where they stand; they add up to the run's number of hosts."""

    pending: int = 0
    sent: int = 0
    accepted: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    timed_out: int = 0
    cancelled: int = 0
    stopped: int = 0
    stop_failed: int = 0
    refused: int = 0
    offline: int = 0
    lost: int = 0
    skipped: int = 0


class Refusal(Struct, frozen=True, kw_only=True):
    """Why nothing of a try was started on any host."""

    reason: str
    message: str


class Run(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    state: RunState
    revision: int
    by: Principal
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    language: Language
    script: str
    script_sha256: str
    stored: StoredScript | None = None
    """The very version whose text this is, if it was a stored script."""
    args: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    """Masked values read as MASK."""
    env: dict[str, str]
    variables: dict[str, Any] = {}
    """Those that the run itself brings."""
    needs_variables: bool = False
    """Whether hosts are sent their variables. They are collected while the run is pending."""
    variables_at: datetime | None = None
    """The moment whose variables the newest try reads."""
    refusal: Refusal | None = None
    """Of the newest try: what came to light while its variables were collected."""
    account: str | None
    """The OS user; null: whatever the agent runs as."""
    account_alias: str = ""
    timeout_s: int
    kill_grace_s: int
    offline_wait_s: int
    targets: Targets
    """What was asked for."""
    hosts: int
    """How many hosts that was, when the run was started."""
    businesses: tuple[str, ...] | None = None
    """Of these hosts, then; null: the run is from before that was noted."""
    targets_hash: str
    tries: int
    counts: Counts
    actions: tuple[Action, ...]


class RunSummary(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    state: RunState
    by: Principal
    created_at: datetime
    ended_at: datetime | None
    hosts: int
    counts: Counts
    businesses: tuple[str, ...] | None = None


class ListRuns(Struct, frozen=True, kw_only=True):
    states: tuple[RunState, ...] = ()
    by: str = ""
    after: str = ""
    """Newest first; pass `next` of the page before."""
    limit: Limit = 50


class Runs(Struct, frozen=True, kw_only=True):
    """Only those that the caller may see. So many may be left out that a page is short, or empty, and has a `next`."""

    runs: list[RunSummary]
    next: str = ""


class RunRef(Struct, frozen=True, kw_only=True):
    run: Token


class HostResult(Struct, frozen=True, kw_only=True):
    """Where one host stands in its newest task."""

    host: str
    hostname: str
    ip: str
    idc: str
    task: str
    state: str
    """A word of Live, or of Outcome once it ended."""
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    late: bool = False
    """The report came after a verdict had been given, and replaced it."""
    output_bytes: int = 0
    output_dropped: int = 0
    output_hash: str = ""
    head: str = ""
    """The first bytes of the output, as many as the request asked for."""
    tag: str = ""
    result: str = ""


class ListHostResults(Struct, frozen=True, kw_only=True):
    run: Token
    outcomes: tuple[Outcome, ...] = ()
    head_bytes: Annotated[int, Meta(ge=0, le=65_536)] = 0
    after: str = ""
    limit: Limit = 200


class HostResults(Struct, frozen=True, kw_only=True):
    hosts: list[HostResult]
    next: str = ""


class ReadOutput(Struct, frozen=True, kw_only=True):
    run: Token
    host: Token
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=524_288)] = 262_144
    """Bytes; the piece ends at a whole character, so it may be up to 3 bytes shorter."""


class Output(Struct, frozen=True, kw_only=True):
    text: str
    offset: int
    next_offset: int
    stored_bytes: int
    """How much of it is stored so far."""
    complete: bool
    """No more will come: the host's part has ended and everything it kept is stored. A reader is at the end when
    this is set and `next_offset` has reached `stored_bytes`."""
    dropped: int = 0
    task: str = ""
    """Whose output this is: the host's newest task. Another one than before means that the text began anew."""


class SearchOutput(Struct, frozen=True, kw_only=True):
    run: Token
    text: Annotated[str, Meta(min_length=1, max_length=200)]
    ignore_case: bool = True
    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    """Hosts per page."""


class Match(Struct, frozen=True, kw_only=True):
    line: int
    """Counted from 1."""
    offset: int
    """Of the line's first byte."""
    text: str
    """The line, cut if it is long."""


class HostMatches(Struct, frozen=True, kw_only=True):
    host: str
    hostname: str
    matches: list[Match]
    """The first few lines that match."""
    count: int


class SearchResults(Struct, frozen=True, kw_only=True):
    """Only hosts that match. A page ends when enough output was read, so it may be short or empty and have a `next`."""

    hosts: list[HostMatches]
    next: str = ""


class StopRun(Struct, frozen=True, kw_only=True):
    run: Token
    why: Annotated[str, Meta(max_length=500)] = ""


class RetryRun(Struct, frozen=True, kw_only=True):
    """Try the hosts again that did not succeed; each gets a new task."""

    run: Token
    why: Annotated[str, Meta(max_length=500)] = ""


class RunChanged(Struct, frozen=True, kw_only=True):
    run: str
    revision: int
    state: RunState
    hosts: int
    counts: Counts


class HostOutcome(Struct, frozen=True, kw_only=True):
    host: str
    hostname: str
    task: str
    outcome: Outcome
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    output_bytes: int = 0
    output_hash: str = ""
    late: bool = False
    verdict: bool = False
    """Concluded by Drover, not reported by the host."""


class OutcomesStored(Struct, frozen=True, kw_only=True):
    """Outcomes that are in MongoDB now. Large batches are split, so that one message stays below 512 KiB."""

    run: str
    outcomes: list[HostOutcome]


class OutputStored(Struct, frozen=True, kw_only=True):
    """More output of these hosts can be read now."""

    run: str
    hosts: list[str]


start = Call(
    "jobs.runs.start",
    StartRun,
    Run,
    needs="runs:start",
    http=post("/runs", status=201),
    # Whether one is a secret may stand in the stored script only; the run shows the others.
    conceals=("parameters", "variables"),
    summary="Run a script on hosts",
)
list_runs = Call(
    "jobs.runs.list",
    ListRuns,
    Runs,
    needs="runs:read",
    http=get("/runs"),
    idempotent=True,
    summary="List runs, newest first",
)
show = Call(
    "jobs.runs.show", RunRef, Run, needs="runs:read", http=get("/runs/{run}"), idempotent=True, summary="Show a run"
)
list_host_results = Call(
    "jobs.runs.hosts",
    ListHostResults,
    HostResults,
    needs="runs:read",
    http=get("/runs/{run}/hosts"),
    idempotent=True,
    summary="Where each host of a run stands",
)
read_output = Call(
    "jobs.runs.output",
    ReadOutput,
    Output,
    needs="runs:read",
    http=get("/runs/{run}/hosts/{host}/output"),
    idempotent=True,
    summary="Read one host's output from an offset",
)
search_output = Call(
    "jobs.runs.search",
    SearchOutput,
    SearchResults,
    needs="runs:read",
    http=get("/runs/{run}/search"),
    idempotent=True,
    summary="Find a text in the output of all hosts of a run",
)
stop = Call(
    "jobs.runs.stop",
    StopRun,
    Run,
    needs="runs:stop",
    http=post("/runs/{run}/stop"),
    idempotent=True,
    summary="Stop a run",
)
retry = Call(
    "jobs.runs.retry",
    RetryRun,
    Run,
    needs="runs:start",
    http=post("/runs/{run}/retry"),
    summary="Try the failed hosts again",
)

run_changed = Event("jobs", "run", RunChanged, key="run")
outcomes_stored = Event("jobs", "outcomes", OutcomesStored, key="run")
output_stored = Event("jobs", "output", OutputStored, key="run")
