"""Hosts that are being deployed move on when the run that prepares them succeeds."""

import contextlib
from datetime import UTC, datetime

import msgspec
import pytest

from contracts import inits, runs
from contracts.agents import Language
from contracts.edits import ListHistory, host_history
from contracts.errors import Conflict, Forbidden, Invalid, NotFound
from contracts.hosts import ChangeHost, HostState, Targets, change_host
from contracts.inits import AfterInit, InitHosts, ListInits
from contracts.people import Principal
from contracts.permissions import Grant, Scope
from contracts.runs import Counts, HostResult, HostResults, Run
from contracts.states import Outcome, RunState
from runtime.bus import answer
from tests.conftest import service_bus
from tests.resources.people import ADMIN, OPERATOR, VIEWER
from tests.servers import until


class Jobs:
    """Answers what the service asks of a run, as jobs does."""

    def __init__(self):
        self.run, self.states = "r1", {}
        self.ended_at = None

    async def show(self, request, _):
        self._known(request)
        return Run(
            id="r1", name="", state=RunState.RUNNING, revision=1, by=OPERATOR, created_at=datetime.now(UTC),
            started_at=None, ended_at=self.ended_at, language=Language.SHELL, script="", script_sha256="", args=(),
            parameters=(), env={}, account=None, timeout_s=1, kill_grace_s=1, offline_wait_s=1, targets=Targets(),
            hosts=1, targets_hash="", tries=1, counts=Counts(), actions=(),
        )  # fmt: skip

    async def results(self, request, _):
        self._known(request)
        wanted = [
            host for host, state in sorted(self.states.items()) if not request.outcomes or state in request.outcomes
        ]
        page = [host for host in wanted if host > request.after][:2]
        found = [
            HostResult(host=host, hostname="", ip="", idc="js", task="t1", state=self.states[host], exit_code=3)
            for host in page
        ]
        return HostResults(hosts=found, next=page[-1] if page and page[-1] != wanted[-1] else "")

    def _known(self, request):
        if request.run != self.run:
            raise NotFound("run.unknown", f"There is no run {request.run}.")


@contextlib.asynccontextmanager
async def jobs_of(nats):
    made = Jobs()
    async with service_bus(nats, "jobs") as bus:
        await bus.serve([answer(runs.show, made.show), answer(runs.list_host_results, made.results)])
        yield made


async def init(ask, by=OPERATOR, run="r1", then=AfterInit.IN_SERVICE):
    return await ask(inits.init_hosts, InitHosts(run=run, then=then), by)


async def ended(ask):
    async def seen():
        return (await ask(inits.list_inits, ListInits(), OPERATOR)).inits[0].ended

    await until(seen, "nothing is waited for")


async def test_hosts_move_on_as_the_run_succeeds_on_them(ask, nats):
    made = sorted([await ask.host(state=HostState.DEPLOYING) for _ in range(4)])
    other = await ask.host(state=HostState.STANDBY)
    async with jobs_of(nats) as jobs:
        jobs.states = {**dict.fromkeys(made, "running"), other: Outcome.SUCCEEDED}
        followed = await init(ask)
        assert (followed.hosts, followed.succeeded, followed.ended) == (4, 0, False)
        assert (await init(ask)).hosts == 4, "asked twice"
        await ask(change_host, ChangeHost(host=made[3], state=HostState.FAULTY))
        jobs.states |= {made[0]: Outcome.SUCCEEDED, made[1]: Outcome.FAILED, made[3]: Outcome.SUCCEEDED}

        async def moved():
            return (await ask.show(made[0])).state == HostState.IN_SERVICE

        await until(moved, "the first has moved on")
        assert (await ask.show(made[2])).state == HostState.DEPLOYING
        jobs.states[made[2]] = Outcome.SUCCEEDED
        jobs.ended_at = datetime.now(UTC)
        await ended(ask)
    states = [(await ask.show(host)).state for host in [*made, other]]
    assert states == ["in_service", "deploying", "in_service", "faulty", "standby"]
    [found] = (await ask(inits.list_inits, ListInits(), OPERATOR)).inits
    assert (found.succeeded, found.by) == (3, "olga")
    event = (await ask(host_history, ListHistory(host=made[0]))).events[0]
    assert (event.origin.kind, event.origin.name, event.by) == ("drover", "run r1", "olga")
    [note, *_] = (await ask(host_history, ListHistory(host=made[1]))).events
    assert (note.changes, note.note, note.by) == ([], "stays in deploying: failed, exit status 3", "olga")


async def test_outcomes_that_came_while_nobody_looked_count_and_are_noted_once(ask, nats):
    good, bad = sorted([await ask.host(state=HostState.DEPLOYING) for _ in range(2)])
    async with jobs_of(nats) as jobs:
        jobs.states = {good: "running", bad: "running"}
        await init(ask, then=AfterInit.STANDBY)
    async with jobs_of(nats) as jobs:
        jobs.states, jobs.ended_at = {good: Outcome.SUCCEEDED, bad: Outcome.FAILED}, datetime.now(UTC)
        await ended(ask)
        again = await init(ask)
        assert (again.hosts, again.then) == (1, "in_service"), "what is left of a run that was tried again"
        await ended(ask)
    assert [(await ask.show(host)).state for host in (good, bad)] == ["standby", "deploying"]
    events = (await ask(host_history, ListHistory(host=bad))).events
    assert sum(bool(each.note) for each in events) == 1


async def test_a_run_that_is_gone_keeps_no_other_waiting(ask, nats):
    host = await ask.host(state=HostState.DEPLOYING)
    async with jobs_of(nats) as jobs:
        jobs.states = {host: "running"}
        await init(ask)
        jobs.run = "r9"
        await ended(ask)
    assert (await ask.show(host)).state == HostState.DEPLOYING


async def test_one_follows_ones_own_run_for_hosts_that_one_may_change(ask, nats):
    host = await ask.host(state=HostState.DEPLOYING, business="shop")
    grant = Grant(permissions=("hosts:change",), scope=Scope(businesses=("bank",)))
    bound = Principal(kind="person", name=OPERATOR.name, grants=(grant,), via="token")
    async with jobs_of(nats) as jobs:
        jobs.states = {host: "running"}
        limited = msgspec.structs.replace(bound, limited=True, credential="t1")
        for run, by in (("r1", ADMIN), ("r1", limited), ("r2", OPERATOR)):
            with pytest.raises(NotFound, match=f"There is no run {run}.") as told:
                await init(ask, by, run)
            assert told.value.reason == "run.unknown"
        with pytest.raises(Conflict) as refused:
            await init(ask, bound)
        assert refused.value.reason == "init.no_hosts"
        with pytest.raises(Forbidden):
            await init(ask, VIEWER)
        await init(ask)
        assert (await ask(inits.list_inits, ListInits(), limited)).inits == []
        with pytest.raises(Conflict) as refused:
            await init(ask, then=AfterInit.STANDBY)
        assert refused.value.reason == "init.followed"
        with pytest.raises(Invalid):
            await ask(inits.init_hosts, {"run": "r1", "then": "retired"}, OPERATOR)


async def test_what_is_followed_is_found_by_an_index(ask):
    for query in ({"ended": False}, {"by": "olga", "_id": {"$lt": "r1"}}):
        plan = await ask.database["host_inits"].find(query).sort("_id", -1).explain()
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
