"""A run that prepares hosts, as jobs would tell of it, and what becomes of the hosts."""

import asyncio
import contextlib
from datetime import UTC, datetime

from contracts import inits, runs
from contracts.agents import Language
from contracts.edits import ListHistory, host_history
from contracts.errors import NotFound
from contracts.hosts import HostState, Targets
from contracts.inits import AfterInit, InitHosts, ListInits
from contracts.runs import Counts, HostResult, HostResults, Run, RunChanged
from contracts.states import Outcome, RunState
from runtime.bus import answer
from tests.conftest import service_bus
from tests.resources.people import OPERATOR
from tests.servers import until


class Jobs:
    """Answers what the service asks of a run, and tells that it changed, as jobs does."""

    def __init__(self, bus):
        self.run, self.states, self.revision = "r1", {}, 1
        self.ended_at, self.held, self.asked = None, None, asyncio.Event()
        """`held`: an event for which answers about hosts wait; `asked`: somebody waits for one."""
        self._bus = bus

    async def becomes(self, *, told=True, ended=False, **states):
        self.states |= states
        self.ended_at = datetime.now(UTC) if ended else None
        self.revision += 1
        if told:
            event = RunChanged(run=self.run, revision=self.revision, state=RunState.RUNNING, hosts=1, counts=Counts())
            await self._bus.announce(runs.run_changed, event)

    async def show(self, request, _):
        self._known(request)
        return Run(
            id="r1", name="", state=RunState.RUNNING, revision=self.revision, by=OPERATOR, created_at=datetime.now(UTC),
            started_at=None, ended_at=self.ended_at, language=Language.SHELL, script="", script_sha256="", args=(),
            parameters=(), env={}, account=None, timeout_s=1, kill_grace_s=1, offline_wait_s=1, targets=Targets(),
            hosts=1, targets_hash="", tries=1, counts=Counts(), actions=(),
        )  # fmt: skip

    async def results(self, request, _):
        self._known(request)
        if self.held is not None:
            self.asked.set()
            await self.held.wait()
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
    async with service_bus(nats, "jobs") as bus:
        made = Jobs(bus)
        await bus.serve([answer(runs.show, made.show), answer(runs.list_host_results, made.results)])
        yield made


async def init(ask, by=OPERATOR, run="r1", then=AfterInit.IN_SERVICE):
    return await ask(inits.init_hosts, InitHosts(run=run, then=then), by)


async def moved(ask, host):
    return (await ask.show(host)).state == HostState.IN_SERVICE


async def moves(ask, host):
    """The states that it moved to, as its history tells."""
    events = (await ask(host_history, ListHistory(host=host))).events
    changes = [change for event in events for change in event.changes if event.origin.name == "run r1"]
    return [change.after for change in changes if change.field == "state"]


async def ended(ask):
    async def seen():
        return (await ask(inits.list_inits, ListInits(), OPERATOR)).inits[0].ended

    await until(seen, "nothing is waited for")


async def tried_again(ask, jobs, good, bad, *, told):
    """A run that succeeds on one host, and on the other when it is tried again; `told`: jobs tells of that."""
    jobs.states = {good: "running", bad: "running"}
    await init(ask)
    await jobs.becomes(**{good: Outcome.SUCCEEDED, bad: Outcome.FAILED}, ended=True)
    await ended(ask)
    await jobs.becomes(**{bad: "running"}, told=told)

    async def open_again():
        return not (await ask(inits.list_inits, ListInits(), OPERATOR)).inits[0].ended

    await until(open_again, "it is followed again")
    await jobs.becomes(**{bad: Outcome.SUCCEEDED}, told=told, ended=True)
    await until(lambda: moved(ask, bad), "what failed before has moved on")
    await ended(ask)
    [found] = (await ask(inits.list_inits, ListInits(), OPERATOR)).inits
    assert (found.hosts, found.succeeded) == (2, 2)
    assert await moves(ask, good) == await moves(ask, bad) == ["in_service"]
