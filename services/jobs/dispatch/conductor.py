"""Conducts one run: one task that sends, waits, concludes, and closes the run when every host has an outcome.

Everything that is heard only changes a part and asks for it to be looked at; the one worker does the rest, so no two
tasks act for the same run. What it holds can be lost at any time: the next holder reads MongoDB and sends again.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from math import inf
from typing import Any

import structlog

from contracts import runs
from contracts.agents import Ack, Cancel, TaskState, Verb
from contracts.errors import Conflict, NotFound, Unavailable
from contracts.runs import Counts
from contracts.states import Live, RunState
from runtime import mongo
from runtime.bus import Disconnected
from runtime.mongo import PyMongoError
from services.jobs.dispatch.part import Doing, Part, Step, Terms, next_step, refused, unsealable
from services.jobs.dispatch.preparation import Preparation, Refused
from services.jobs.dispatch.sending import Sender, Unsealable
from services.jobs.dispatch.tools import Tools
from services.jobs.results.announcing import announce_outcomes
from services.jobs.results.store import NotOwner, Verdict
from services.jobs.runs import model
from services.jobs.runs.model import Fact, RunRecord, Wave, changed

log = structlog.get_logger()

SLICE = 25
"""Hosts handled between two chances for others to run; signing one takes some 20 µs, sealing some 150 µs."""
VERDICTS = 500
"""Given in one transaction."""
ANNOUNCE_S = 0.25
TRY_AGAIN_S = 1.0
LONGEST_WAIT_S = 300.0
"""Parts are looked at this often anyway, so that the ticker forgets runs that ended."""


def jitter() -> float:
    return random.uniform(0.85, 1.15)  # noqa: S311  spreads load, guards nothing


class Conductor:
    def __init__(
        self, tools: Tools, record: RunRecord, waves: Sequence[Wave], facts: Iterable[Fact], *, taken_over: bool
    ) -> None:
        self._tools = tools
        self.record = record
        self.wave = max(waves, key=lambda wave: (wave.step, wave.attempt, wave.number))
        self.parts = {target.id: Part(target) for target in self.wave.hosts}
        newest = model.newest_tasks(model.hosts_by_task(waves))
        facts = list(facts)
        earlier = {host: task for host, task in newest.items() if task != self.wave.id}
        self._earlier = model.counts_of(earlier, facts)
        self._numbers = Counter({Live.PENDING.value: len(self.parts)})
        self._open = len(self.parts)
        self.stored = 0
        """Outcome documents of this wave that are known here."""
        self.terms = self._made_terms()
        self._preparation = Preparation(tools.bus, tools.values, tools.box, record, self.wave)
        self._sender = Sender(tools.bus, tools.grants, record, self.wave, tools.values, tools.box)
        self._wake = asyncio.Event()
        self._todo: list[Part] = list(self.parts.values())
        self._look_again = self._compare = False
        self._kept = record.counts
        self._announced_at = 0.0
        self._announced: Counts | None = None
        self._announce_later: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self.taken(facts)
        if taken_over and record.state is not RunState.PENDING:
            # The holder before may have sent grants that still run.
            for part in self.parts.values():
                part.unsure_until = self.terms.last_start()
        if record.state is RunState.STOPPING:
            self._stopping()

    def _made_terms(self) -> Terms:
        record, now = self.record, self._tools.ticker.now()
        began = now + (record.sending_at or self.wave.started_at).timestamp() - time.time()
        return Terms(
            deadline=began + record.offline_wait_s,
            wait_s=record.offline_wait_s,
            duration_s=record.timeout_s + record.kill_grace_s,
            stop_s=record.kill_grace_s,
            patience=self._tools.patience,
            since=now,
        )

    def start(self) -> asyncio.Task[None]:
        self._task = asyncio.create_task(self._work(), name=f"run {self.record.id}")
        self._wake.set()
        return self._task

    def counts(self) -> Counts:
        return model.add(self._earlier, Counts(**{name: number for name, number in self._numbers.items() if number}))

    def look_at(self, part: Part) -> None:
        self._todo.append(part)
        self._wake.set()

    def nudge(self) -> None:
        """The run was changed in MongoDB: read it."""
        self._look_again = True
        self._preparation.interrupt()
        self._wake.set()

    def compare(self) -> None:
        """See whether MongoDB has outcomes of which no event told."""
        self._compare = True
        self._wake.set()

    def reconnected(self) -> None:
        """Nothing was heard for a while: ask every host anew that has not answered."""
        self.terms.since = self._tools.ticker.now()
        for part in self.parts.values():
            if not part.accepted:
                part.back()
        self._todo = [part for part in self.parts.values() if not part.ended]
        self._wake.set()

    def acknowledged(self, host: str, ack: Ack) -> None:
        part = self.parts.get(host)
        if part is None:
            return
        now, before = self._tools.ticker.now(), part.state
        if ack.state is None:
            if ack.verb is Verb.RUN:
                part.refuses(ack.reason, ack.message, now)
        else:
            part.says(ack.state, now)
            if ack.verb is Verb.CANCEL:
                part.cancel_answered(now)
            self._compare |= ack.state in {TaskState.DONE, TaskState.STORED}
        self._noted(part, before)
        self.look_at(part)

    def nobody_there(self, host: str) -> None:
        part = self.parts.get(host)
        if part is not None and not part.ended:
            before = part.state
            part.nobody_there(self._tools.ticker.now(), jitter())
            self._noted(part, before)
            self.look_at(part)

    def has(self, idc: str, host: str) -> bool:
        """The IDC counts: a relay can speak for hosts of its own only, and one of another must not be believed."""
        part = self.parts.get(host)
        return part is not None and part.target.idc == idc

    def waits_for(self, idc: str, host: str) -> bool:
        return self.has(idc, host) and not self.parts[host].ended

    def alive(self, host: str, state: TaskState | None, *, hello: bool) -> None:
        """A sign of life; `state` of this run's task, or None if the host did not list it.

        What a host lacks, command or cancel, is sent at once when it says hello, or when it counted as away.
        """
        part = self.parts.get(host)
        if part is None or part.ended:
            return
        before, was_away = part.state, part.away_at > -inf
        if state is not None:
            part.says(state, self._tools.ticker.now())
            self._noted(part, before)
        lacks = not part.cancel_heard if self.terms.stopped_at is not None else not part.accepted
        if (hello or was_away) and lacks:
            part.back()
        elif hello and state is None:
            self._compare = True
        self.look_at(part)

    def taken(self, facts: Iterable[Fact]) -> None:
        """Outcomes that are in MongoDB."""
        for fact in facts:
            part = self.parts.get(fact.host)
            if part is None or fact.task != self.wave.id:
                continue
            before, was_open = part.state, not part.ended
            self.stored += part.ends(fact.outcome, report=fact.report)
            self._open -= was_open
            self._noted(part, before)
        self._wake.set()

    def _noted(self, part: Part, before: str) -> None:
        if part.state != before:
            self._numbers[str(before)] -= 1
            self._numbers[str(part.state)] += 1

    # what is done

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                if await self._turn():
                    return
            except (NotOwner, NotFound):
                log.info("run.not_ours_anymore", run=self.record.id)
                return
            except Disconnected:
                self._tools.counters["dispatch_disconnected"] += 1
                self._later(TRY_AGAIN_S)
            except (PyMongoError, Unavailable) as error:
                log.warning("run.database_away", run=self.record.id, error=type(error).__name__)
                self._todo = [part for part in self.parts.values() if not part.ended]
                self._later(TRY_AGAIN_S)
            except Exception:
                log.exception("run.turn_crashed", run=self.record.id)
                self._todo = [part for part in self.parts.values() if not part.ended]
                self._later(TRY_AGAIN_S)

    def _later(self, seconds: float) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, self._wake.set)

    async def _turn(self) -> bool:
        """True when the run is closed."""
        while self._look_again:  # a word that came during the read is not to wait for what follows
            await self._read_again()
        if self.record.state is RunState.PENDING and not await self._begun():
            self._wake.set()
            return False
        if self._compare:
            await self._compare_outcomes()
        todo, self._todo = self._todo, []
        concluded: list[tuple[Part, Step]] = []
        for start in range(0, len(todo), SLICE):
            try:
                concluded += await self._slice(todo[start : start + SLICE])
            except BaseException:
                self._todo += [part for part, _ in concluded] + todo[start:]
                raise
            await asyncio.sleep(0)
        for start in range(0, len(concluded), VERDICTS):
            await self._conclude(concluded[start : start + VERDICTS])
        if self._open == 0 and await self._close():
            return True
        await self._announce()
        return False

    async def _begun(self) -> bool:
        """Do the next of what has to be done before any host is sent a command; True once all is."""
        refusal = None
        try:
            if await self._preparation.step():
                return False
        except Refused as error:
            refusal = error.refusal
            log.info("run.refused", run=self.record.id, reason=refusal.reason)
        now = mongo.now()
        await self._move(RunState.RUNNING, started_at=self.record.started_at or now, sending_at=now, refusal=refusal)
        if self.record.state is RunState.RUNNING:
            self.terms = self._made_terms()
        return self.record.state is not RunState.PENDING

    async def _slice(self, parts: list[Part]) -> list[tuple[Part, Step]]:
        now = self._tools.ticker.now()
        concluded: list[tuple[Part, Step]] = []
        for part in parts:
            refusal = self.record.refusal
            step = refused(part, refusal) if refusal else next_step(part, self.terms, now)
            if step.doing is Doing.SEND:
                step = await self._send(part, step.verb, now)
            if step.doing is Doing.CONCLUDE:
                concluded.append((part, step))
            elif not part.ended:
                until = step.until if step.doing is Doing.WAIT else part.due
                self._tools.ticker.at(min(until, now + LONGEST_WAIT_S), self, part)
        return concluded

    async def _send(self, part: Part, verb: Verb, now: float) -> Step:
        """Send, and say what comes next. Raises Disconnected."""
        not_after = self.terms.not_after(now)
        if verb is Verb.CANCEL:
            await self._sender.cancel(part.target, self._why)
            not_after = part.unsure
        else:
            try:
                await self._sender.run(part.target, not_after - now)
            except Unsealable:
                return unsealable(part, self.terms, now, jitter())
        before = part.state
        self._tools.counters["resent" if part.sends else "sent"] += 1
        part.sent(now, not_after, jitter())
        self._noted(part, before)
        return Step(Doing.WAIT, until=part.due)

    @property
    def _why(self) -> Cancel:
        return Cancel(why=self.record.action("stop").why)

    async def _conclude(self, concluded: list[tuple[Part, Step]]) -> None:
        """Insert verdicts, unless a report was faster or the run is another instance's."""
        verdicts = {
            part.target.id: Verdict(step.outcome, step.reason, step.message)
            for part, step in concluded
            if not part.ended
        }
        facts = await self._tools.outcomes.conclude(self.record, self.wave.id, verdicts, mongo.now())
        self.taken(facts)
        for fact in facts:
            self._tools.counters[f"verdict_{fact.outcome}"] += not fact.report
        told = [
            verdicts[fact.host].told(fact.task, fact.host, self.parts[fact.host].target.hostname)
            for fact in facts
            if not fact.report
        ]
        await announce_outcomes(self._tools.bus, self.record.id, told)

    async def _close(self) -> bool:
        counts = self.counts()
        # Reports may come in at any time; `recount` has them counted by whoever sees this run next.
        try:
            await self._move(model.end_state(self.record.state, counts), ended_at=mongo.now(), counts=counts, recount=1)
        except Conflict:
            self.nudge()
            return False
        log.info("run.ended", run=self.record.id, state=self.record.state)
        return True

    async def _move(self, state: RunState, **changes: Any) -> None:
        try:
            self.record = await self._tools.runs.move(self.record, state, **changes)
        except Conflict:
            if state is not RunState.RUNNING:
                raise
            await self._read_again()
            return
        await self._announce(now=True)

    async def _read_again(self) -> None:
        self._look_again = False
        record = await self._tools.runs.get(self.record.id)
        if record.owner != self._tools.bus.instance or record.ended_at is not None:
            raise NotOwner
        stops = record.state is RunState.STOPPING and self.record.state is not RunState.STOPPING
        self.record = record
        if stops:
            self._stopping()

    def _stopping(self) -> None:
        now = self._tools.ticker.now()
        self.terms.stopped_at = now + self.record.action("stop").at.timestamp() - time.time()
        for part in self.parts.values():
            part.sends = 0
            part.due = now
        self._todo = [part for part in self.parts.values() if not part.ended]

    async def _compare_outcomes(self) -> None:
        self._compare = False
        if await self._tools.outcomes.count(self.wave.id) != self.stored:
            self.taken(await self._tools.outcomes.facts([self.wave.id]))

    async def _announce(self, *, now: bool = False) -> None:
        """Tell how many stand where, a few times a second at most."""
        loop_now = self._tools.ticker.now()
        counts = self.counts()
        if not now and (counts == self._announced or loop_now < self._announced_at + ANNOUNCE_S):
            if counts != self._announced and self._announce_later is None:
                self._announce_later = self._later(self._announced_at + ANNOUNCE_S - loop_now)
            return
        self._announce_later = None
        self._announced, self._announced_at = counts, loop_now
        await self._tools.bus.announce(runs.run_changed, changed(self.record, counts))

    async def keep_counts(self) -> None:
        """For lists, which ask no holder."""
        if (counts := self.counts()) != self._kept:
            await self._tools.runs.note_counts(self.record.id, self._tools.bus.instance, counts)
            self._kept = counts

    def let_go(self) -> None:
        """Leave the run as it is."""
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Let go, and wait until nothing is done any more."""
        self.let_go()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
