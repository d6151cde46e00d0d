"""Commands: checked, answered, begun once.

An answer goes to `ack.<idc>.<host>.<instance>`: own names, and the instance that a trusted key has signed. The reply
field of a message chooses nothing.
"""

import asyncio
import sqlite3
import time
from collections.abc import Coroutine, Mapping
from typing import Any, cast

import msgspec
import structlog

from agent import grants, parameters, scripts
from agent.bodies import Bodies
from agent.grants import Refused, Unsigned
from agent.journal import Row
from agent.kit import Kit
from agent.outbox import Outbox
from agent.runner import Runner
from agent.spawning import SpawnOrder
from agent.spool import Spool
from agent.tasks import Task
from contracts import subjects
from contracts.agents import (
    MASK_ONLY,
    REPORT_N,
    VARIABLE,
    Ack,
    Grant,
    Receipts,
    RunScript,
    Stored,
    StoredItem,
    TaskState,
    Verb,
)
from contracts.states import Outcome
from runtime.bus import Disconnected, Message
from runtime.signing import CannotOpen, Verifier, sha256

log = structlog.get_logger()

FINISH_S = 2.0
STUCK_S = 20.0
"""What the disk or the spawner holds up is waited for longer: in the journal it may be begun already."""


class Commands:
    def __init__(
        self,
        kit: Kit,
        verifier: Verifier,
        bodies: Bodies,
        runner: Runner,
        outbox: Outbox,
        spool: Spool,
        tasks: dict[str, Task],
    ) -> None:
        self._kit = kit
        self._verifier = verifier
        self._bodies = bodies
        self._runner = runner
        self._outbox = outbox
        self._spool = spool
        self._tasks = tasks
        self._box_key = kit.identity.box_key()
        self._at_work: set[asyncio.Task[None]] = set()
        self._without_body: set[asyncio.Task[None]] = set()
        """Those of them that wait for a script."""

    async def received(self, message: Message) -> None:
        """Checked in the order of arrival; what takes long goes on beside the next."""
        if not message.headers:
            self._begin(self._kept(message.data))
            return
        try:
            grant = grants.read(message.headers, self._verifier)
        except Unsigned as error:
            self._kit.counters[f"refused_{error.reason}"] += 1
            log.error("command.not_ours", host=self._kit.host, reason=error.reason)
            return
        try:
            grants.check(grant, self._kit.host, time.time())
            if not grant.body_key:
                grants.check_body(grant, message.data)
        except Refused as refused:
            if refused.final and grant.verb is Verb.RUN:
                self._begin(self._close_refused(grant, refused))
            else:
                await self._refuse(grant, refused)
            return
        self._begin(self._obey(grant, message.data))

    async def close(self) -> None:
        """Finish what was taken; what waits for a script that does not come is left to the next agent."""
        for stay_s, leave in ((FINISH_S, self._without_body), (STUCK_S, self._at_work)):
            if self._at_work:
                await asyncio.wait(self._at_work, timeout=stay_s)
            for work in leave:
                work.cancel()
        await asyncio.gather(*self._at_work, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._at_work.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, work: "asyncio.Task[None]") -> None:
        self._at_work.discard(work)
        if not work.cancelled() and (error := work.exception()) is not None:
            self._kit.counters["command_crashed"] += 1
            log.error("command.crashed", host=self._kit.host, exc_info=error)

    async def _obey(self, grant: Grant, payload: bytes) -> None:
        self._kit.counters[f"command_{grant.verb}"] += 1
        try:
            if grant.verb is Verb.RUN:
                await self._run(grant, payload)
            elif grant.verb is Verb.CANCEL:
                await self._cancel(grant)
            else:
                await self._stored(payload)
        except Refused as refused:
            await self._refuse(grant, refused)
        except sqlite3.Error as error:
            log.error("journal.refuses", host=self._kit.host, error=str(error))
            await self._refuse(grant, Refused("task.no_space", "The agent's journal cannot be written."))

    async def _run(self, grant: Grant, payload: bytes) -> None:
        known = self._tasks.get(grant.task)
        if known is not None:
            if known.state is not None:  # else the first command is being decided, and will be answered
                await self._answer(grant, known.state)
            return
        task = self._new(grant)
        try:
            await self._decide(task, grant, payload)
        finally:
            task.decided.set()
            if task.state is None and self._tasks.get(task.id) is task:
                del self._tasks[task.id]

    def _new(self, grant: Grant) -> Task:
        row = Row(task=grant.task, at=time.time(), boot_id=self._kit.boot_id, sealed=grant.sealed)
        task = self._tasks[grant.task] = Task(row, self._kit.folder.task(grant.task))
        task.receipt = grant.receipt
        return task

    async def _decide(self, task: Task, grant: Grant, payload: bytes) -> None:
        """Begin the task, or close it; raises Refused and sqlite3.Error when neither may be."""
        try:
            order = await self._order(grant, payload)
            self._spool.admit()
            masked = self._masked(grant)
        except Refused as refused:
            if not refused.final:
                raise
            await self._close(task, grant, refused)
            return
        task.row.kill_grace_s = order.kill_grace_s
        task.secrets = secrets(masked)
        prepared: list[SpawnOrder] = []
        problem = await self._kit.journal.begin(task.row, lambda: self._prepare(task, order, masked, prepared))
        if isinstance(problem, Refused):
            await self._close(task, grant, problem)
        elif isinstance(problem, Row):
            await self._answer_settled(grant, problem)
        else:
            task.decide(TaskState.ACCEPTED)
            self._runner.start(task, prepared[0], lambda: self._begin(self._answer(grant, task.state)))

    async def _order(self, grant: Grant, payload: bytes) -> RunScript:
        body: bytes | None = payload
        if grant.body_key:
            body = await self._body(grant)
            if body is None:
                raise Refused("command.body_missing", "The script did not reach this host.")
            grants.check_body(grant, body)
        return scripts.read(body or b"")

    async def _body(self, grant: Grant) -> bytes | None:
        work = cast("asyncio.Task[None]", asyncio.current_task())
        self._without_body.add(work)
        try:
            return await self._bodies.get(grant)
        finally:
            self._without_body.discard(work)

    def _masked(self, grant: Grant) -> dict[str, str]:
        try:
            return opened(self._box_key.open(grant.sealed)) if grant.sealed else {}
        except (CannotOpen, msgspec.DecodeError):
            raise Refused("grant.unsealable", "The masked parameters cannot be opened here.", final=True) from None

    def _prepare(
        self, task: Task, order: RunScript, masked: dict[str, str], prepared: list[SpawnOrder]
    ) -> Refused | None:
        """In the worker's thread, just before the task is noted."""
        try:
            account = scripts.account_of(order, self._kit.limits.accounts)
            values = {**order.parameters, **{n: v for n, v in masked.items() if not n.startswith(MASK_ONLY)}}
            spawn = scripts.spawn_order(
                order,
                host=self._kit.host,
                task=task.id,
                folder=task.folder,
                library=self._kit.folder.library,
                account=account,
                params=parameters.encode(values) if values else None,
            )
            scripts.place(task.folder, order.script, account)
        except Refused as refused:
            return refused
        prepared.append(spawn)
        return None

    async def _close_refused(self, grant: Grant, refused: Refused) -> None:
        if grant.task in self._tasks:
            return
        task = self._new(grant)
        try:
            await self._close(task, grant, refused)
        except sqlite3.Error:
            await self._refuse(grant, refused)
        finally:
            task.decided.set()
            if task.state is None:
                self._tasks.pop(task.id, None)

    async def _close(self, task: Task, grant: Grant, refused: Refused) -> None:
        """A task that was ours to start and never will be: noted, so that it stays so, answered and reported."""
        self._count(refused)
        await self._settle(task, grant, Outcome.REFUSED, refused)

    async def _settle(self, task: Task, grant: Grant, outcome: Outcome, why: Refused) -> None:
        report = self._runner.unbegun(task.id, outcome, why.reason, why.message)
        cancelled = outcome is Outcome.CANCELLED
        row = Row(task=task.id, at=time.time(), boot_id=self._kit.boot_id, cancelled=cancelled, report=report)
        known = await self._kit.journal.close_unbegun(row)
        if known is not None:
            await self._answer_settled(grant, known)
            return
        task.row, task.report = row, report
        task.decide(TaskState.CANCELLED if cancelled else TaskState.DONE)
        await self._answer(grant, task.state, why)
        self._outbox.send(task)

    async def _cancel(self, grant: Grant) -> None:
        task = self._tasks.get(grant.task)
        why = Refused("task.cancelled", "The run was stopped before the script began.", final=True)
        if task is None:
            task = self._new(grant)
            try:
                await self._settle(task, grant, Outcome.CANCELLED, why)
            finally:
                task.decided.set()
                if task.state is None:
                    self._tasks.pop(task.id, None)
            return
        task.cancel_asked = True
        await task.decided.wait()
        if task.state is None:  # refused, or settled long ago
            await self._cancel(grant)
            return
        if not task.done:
            await self._runner.stop(task)
        await self._answer(grant, task.state)

    async def _stored(self, payload: bytes) -> None:
        try:
            items = msgspec.json.decode(payload, type=Stored).items
        except (msgspec.DecodeError, RecursionError):
            self._kit.counters["refused_command.malformed"] += 1
            return
        await self._outbox.stored(items)

    async def _kept(self, payload: bytes) -> None:
        """Receipts. Believed by themselves, since a grant that we believed has named their hashes."""
        try:
            said = msgspec.json.decode(payload, type=Receipts).receipts
        except (msgspec.DecodeError, RecursionError):
            self._kit.counters["refused_grant.missing"] += 1
            log.error("command.not_ours", host=self._kit.host, reason="grant.missing")
            return
        kept = [task for task, receipt in said.items() if self._promised(task, receipt)]
        self._kit.counters["receipt_unknown"] += len(said) - len(kept)
        try:
            await self._outbox.stored(StoredItem(task, REPORT_N) for task in kept)
        except sqlite3.Error as error:
            log.error("journal.refuses", host=self._kit.host, error=str(error))  # the reports are sent again later

    def _promised(self, id_: str, receipt: str) -> bool:
        task = self._tasks.get(id_)
        return task is not None and task.receipt == sha256(receipt.encode(errors="replace"))

    async def _refuse(self, grant: Grant, refused: Refused) -> None:
        self._count(refused)
        if grant.verb is not Verb.STORED:
            await self._answer(grant, None, refused)

    def _count(self, refused: Refused) -> None:
        self._kit.counters[f"refused_{refused.reason}"] += 1
        log.warning("command.refused", host=self._kit.host, reason=refused.reason, message=refused.message)

    async def _answer_settled(self, grant: Grant, row: Row) -> None:
        """The journal knows a task that memory does not: it is a tombstone."""
        await self._answer(grant, row.settled() or TaskState.DONE)

    async def _answer(self, grant: Grant, state: TaskState | None, why: Refused | None = None) -> None:
        ack = Ack(
            task=grant.task,
            verb=grant.verb,
            state=state,
            reason=why.reason if why else "",
            message=why.message[:500] if why else "",
        )
        subject = subjects.ack(self._kit.idc, self._kit.host, grant.instance)
        try:
            await self._kit.connection.publish(subject, msgspec.json.encode(ack))
        except Disconnected:
            self._kit.counters["ack_lost"] += 1  # the command comes again


def secrets(sealed: Mapping[str, str]) -> tuple[str, ...]:
    """What must not be seen in output: masked parameters and secret texts, not all variables."""
    return tuple(text for name, text in sealed.items() if not name.startswith(VARIABLE))


def opened(plain: bytes) -> dict[str, str]:
    """Raises msgspec.DecodeError."""
    return msgspec.json.decode(plain, type=dict[str, str])
