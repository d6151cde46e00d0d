"""What can be done with runs. Each public method is one use case."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec
import structlog

from contracts import runs
from contracts.agents import Language
from contracts.errors import Conflict, ServiceError
from contracts.people import Principal
from contracts.runs import Action, Counts, ListRuns, RetryRun, Run, RunRef, Runs, RunSummary, StartRun, StopRun
from contracts.states import LIVE_RUN, RunState
from runtime import mongo
from runtime.bus import Bus
from runtime.ids import run_id
from runtime.paging import fitting
from runtime.signing import Box, sha256
from services.jobs.paging import last
from services.jobs.runs import model, variables
from services.jobs.runs.checks import check, check_travels
from services.jobs.runs.model import Fact, KeptParameter, RunRecord, Target, Wave, changed, shown, task_id
from services.jobs.runs.planning import Plan, plan, replan
from services.jobs.runs.store import KnownAlready, RunStore
from services.jobs.runs.visibility import READ, START, STOP, Whose, unknown, visible

log = structlog.get_logger()

PAGES_READ = 20
"""For one page of a list, on behalf of somebody who does not see all runs."""
TURNS = 5
"""How often a move is tried again when the run changed between reading and writing."""


class Holding(Protocol):
    """The runs that this instance conducts."""

    def hold(self, record: RunRecord, waves: Sequence[Wave], facts: Sequence[Fact]) -> None: ...

    def nudge(self, run: str) -> None:
        """The run was changed by this instance; look at it now."""

    async def counts(self, record: RunRecord) -> Counts: ...


@dataclass(frozen=True)
class RunService:
    bus: Bus
    store: RunStore
    holding: Holding
    facts: Callable[[Sequence[str]], Awaitable[list[Fact]]]
    """The outcomes of these tasks."""
    box: Box
    content_key: bytes

    async def start(self, request: StartRun, by: Principal) -> Run:
        """Nothing is sent before run and wave are in MongoDB with majority and journal."""
        check(request)
        key = f"{by.kind}:{by.name}:{request.idempotency_key}" if request.idempotency_key else ""
        content = hashlib.blake2b(
            msgspec.json.encode(request, order="deterministic"), key=self.content_key, digest_size=32
        ).hexdigest()
        if key and (known := await self.store.by_idempotency(key)):
            return _same(known, content)
        planned = await plan(self.bus, request, by)
        now = mongo.now()
        record = self._record(planned, by, now, idempotency=key, content=content)
        check_travels(shown(record))
        at = await variables.looked_at(self.bus, self.box, record, planned.chosen.hosts)
        record = msgspec.structs.replace(record, variables_at=at)
        wave = _wave(record, planned.chosen.hosts, now)
        try:
            await self.store.add(record, wave)
        except KnownAlready:
            known = await self.store.by_idempotency(key)
            if known is None:
                raise ServiceError from None
            return _same(known, content)
        log.info("run.started", run=record.id, hosts=record.hosts)
        self.holding.hold(record, [wave], [])
        return shown(record)

    async def list(self, request: ListRuns, by: Principal) -> Runs:
        """Whoever does not see all runs is read for until the page is full or enough was read."""
        seen: list[RunSummary] = []
        after = request.after
        for _ in range(PAGES_READ):
            found = await self.store.page(request.states, request.by, after, request.limit)
            seen += [run for run in found if visible(by, READ, Whose(run.by, run.businesses))]
            after = last(found, request.limit, "id")
            if not after or len(seen) >= request.limit:
                break
        page = fitting(seen[: request.limit])
        return Runs(runs=page, next=page[-1].id if len(page) < len(seen) else after)

    async def show(self, request: RunRef, by: Principal) -> Run:
        record = await self._get(request.run, by, READ)
        return shown(record, await self.holding.counts(record))

    async def _get(self, run: str, by: Principal, permission: str) -> RunRecord:
        """Raises NotFound, also for a run that is not theirs."""
        record = await self.store.get(run)
        if not visible(by, permission, record.whose):
            raise unknown(run)
        return record

    async def stop(self, request: StopRun, by: Principal) -> Run:
        """Stopping what is stopping, or was stopped, changes nothing."""
        for _ in range(TURNS):
            record = await self._get(request.run, by, STOP)
            if record.state not in {RunState.PENDING, RunState.RUNNING}:
                return await self._stopped_before(record)
            action = Action(what="stop", by=_noted(by), at=mongo.now(), why=request.why)
            try:
                moved = await self.store.move(record, RunState.STOPPING, action=action)
            except Conflict:
                continue
            return await self._moved(moved)
        raise Conflict("run.changed_meanwhile", "The run changed each time it was to be stopped. Try again.")

    async def _stopped_before(self, record: RunRecord) -> Run:
        stopped = any(action.what == "stop" for action in record.actions)
        if record.state in LIVE_RUN or stopped:
            return shown(record, await self.holding.counts(record))
        raise Conflict("run.wrong_state", f"The run has ended as {record.state}, so there is nothing to stop.")

    async def retry(self, request: RetryRun, by: Principal) -> Run:
        """Each host that did not succeed gets a new task in a wave of its own."""
        record = await self._get(request.run, by, START)
        if record.state is RunState.SUCCEEDED:
            raise Conflict("run.nothing_to_retry", "Every host of the run succeeded.")
        if record.state in LIVE_RUN:
            raise Conflict("run.wrong_state", f"The run is {record.state}. Wait for its end, or stop it.")
        if len(record.actions) >= model.MOST_ACTIONS:
            raise Conflict("run.wrong_state", "The run was tried so often that its record is full. Start a new run.")
        waves = await self.store.waves(record.id)
        facts = await self.facts([wave.id for wave in waves])
        hosts = model.to_retry(waves, facts)
        if not hosts:
            raise Conflict("run.nothing_to_retry", "No host of the run failed.")
        await replan(self.bus, record, hosts, by)
        now = mongo.now()
        wave = _wave(record, hosts, now, attempt=record.tries + 1)
        changes = {
            "state": record.to(RunState.PENDING),
            "variables_at": await variables.looked_at(self.bus, self.box, record, hosts),
            "refusal": None,
            "sending_at": None,
            "owner": self.bus.instance,
            "tries": record.tries + 1,
            "ended_at": None,
            "counts": model.counts_of(model.newest_tasks(model.hosts_by_task([*waves, wave])), facts),
        }
        action = Action(what="retry", by=_noted(by), at=now, why=request.why)
        moved = await self.store.add_try(record, wave, changes, action)
        self.holding.hold(moved, [*waves, wave], facts)
        return await self._moved(moved)

    async def _moved(self, record: RunRecord) -> Run:
        counts = await self.holding.counts(record)
        self.holding.nudge(record.id)
        await self.bus.announce(runs.run_changed, changed(record, counts))
        return shown(record, counts)

    def _record(
        self,
        planned: Plan,
        by: Principal,
        now: datetime,
        *,
        idempotency: str,
        content: str,
    ) -> RunRecord:
        request = planned.material.request
        return RunRecord(
            id=run_id(),
            name=request.name,
            state=RunState.PENDING,
            revision=1,
            owner=self.bus.instance,
            by=_noted(by),
            created_at=now,
            language=Language(request.language),
            script=request.script,
            script_sha256=sha256(request.script.encode()),
            stored=planned.material.stored,
            args=request.args,
            parameters=tuple(self._kept(each) for each in request.parameters),
            env=request.env,
            variables=variables.document(request.variables),
            needs_variables=variables.asked_for(request),
            account=planned.account.os_user or None,
            account_alias=planned.account.alias,
            timeout_s=request.timeout_s,
            kill_grace_s=request.kill_grace_s,
            offline_wait_s=request.offline_wait_s,
            targets=request.targets,
            hosts=len(planned.chosen.hosts),
            targets_hash=planned.chosen.hash,
            businesses=planned.chosen.businesses,
            tries=1,
            counts=Counts(pending=len(planned.chosen.hosts)),
            actions=(Action(what="start", by=_noted(by), at=now),),
            idempotency=idempotency,
            content=content,
        )

    def _kept(self, parameter: runs.Parameter) -> KeptParameter:
        if not parameter.masked:
            return KeptParameter(name=parameter.name, masked=False, value=parameter.value)
        return KeptParameter(name=parameter.name, masked=True, sealed=self.box.close(parameter.value.encode()))


def _noted(by: Principal) -> Principal:
    """Who it was, for the record; what else they may do is nobody's business who sees the run."""
    return msgspec.structs.replace(by, grants=())


def _same(known: RunRecord, content: str) -> Run:
    if known.content != content:
        raise Conflict(
            "run.idempotency_mismatch",
            f"This idempotency key started the run {known.id} with another request. Use a new key.",
        )
    return shown(known)


def _wave(record: RunRecord, hosts: Sequence[Target], now: datetime, attempt: int = 1) -> Wave:
    return Wave(
        id=task_id(record.id, 0, attempt, 0),
        run=record.id,
        step=0,
        attempt=attempt,
        number=0,
        started_at=now,
        hosts=tuple(hosts),
    )
