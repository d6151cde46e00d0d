"""Writes the trail. Nothing has an effect before the row that asks for it is with a majority of the database.

Rows that come at the same time are inserted together, in order, so that the trail costs one write and no queue. An
insert whose fate is unknown ends the chain: the next row begins another one, so no two rows can ever have one place.
"""

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import structlog
from structlog.contextvars import get_contextvars

from contracts.audit import OK, Actor, AuditKind, AuditRow, row_digest
from contracts.errors import ServiceError, Unavailable
from contracts.kinds import Call
from contracts.people import Principal
from contracts.redaction import written
from runtime.audit.noting import Noted, noting
from runtime.audit.refusals import Refusals
from runtime.audit.store import AuditStore
from runtime.mongo import PyMongoError, now

R = TypeVar("R")

AT_ONCE = 100
"""Rows in one insert."""
PATIENCE_S = 5.0
"""How long one insert may take before its fate counts as unknown."""
AGAIN_S = 1.0
LINGER_S = 0.02
"""How long rows that nobody waits for stay, so that they go with one that somebody waits for."""
MOST_WAITING = 10_000
"""Rows without anybody who waits for them; beyond this the oldest are lost, and show as an unknown outcome."""
SETTLING_S = 8.0
IN_PATH = re.compile(r"{(\w+)}")
NAMES = ("id", "name", "alias", "host", "run", "path")
"""Fields that say what a request or reply is about, where the address of the call does not."""

log = structlog.get_logger()


@dataclass(eq=False)
class _Waiting:
    row: AuditRow
    """Without its place in a chain."""
    written: asyncio.Future[AuditRow] | None = None


class Trail:
    """The trail of one process of a service; an Auditor of the bus."""

    def __init__(self, store: AuditStore, service: str, instance: str) -> None:
        self._store, self._service, self._instance = store, service, instance
        self._chains = 0
        self._begin_chain()
        self._waiting: deque[_Waiting] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._urgent = asyncio.Event()
        self._refusals = Refusals(lambda row: self._put(_Waiting(msgspec.structs.replace(row, at=now()))))
        self.lost = 0
        """Rows about an end or a denial that could not be written."""

    async def carried_out(
        self, call: Call[Any, Any], request: Any, who: Principal, work: Callable[[], Awaitable[R]]
    ) -> R:
        asked = await self._asked(self._row(AuditKind.ASKED, call, request, who))
        outcome = "internal"
        with noting() as noted:
            try:
                reply = await work()
            except ServiceError as error:
                outcome = error.reason
                raise
            else:
                outcome = OK
                asked = msgspec.structs.replace(asked, object=became(call, asked.object, reply))
                return reply
            finally:
                self._put(_Waiting(_end(asked, outcome, noted)))

    def denied(self, call: Call[Any, Any], request: Any, who: Principal, reason: str) -> None:
        row = self._row(AuditKind.DENIED, call, request, who)
        self._refusals.note(msgspec.structs.replace(row, outcome=reason))

    async def settled(self) -> None:
        self._refusals.end()
        self._urgent.set()
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=SETTLING_S)
            self._writing.cancel()

    def _row(self, kind: AuditKind, call: Call[Any, Any], request: Any, who: Principal) -> AuditRow:
        return AuditRow(
            service=self._service,
            chain="",
            n=0,
            at=now(),
            kind=kind,
            who=Actor.of(who),
            call=call.subject,
            object=about(call, request),
            request=written(request, call.conceals),
            trace=str(get_contextvars().get("trace_id", "")),
        )

    async def _asked(self, row: AuditRow) -> AuditRow:
        waiting = _Waiting(row, asyncio.get_running_loop().create_future())
        self._put(waiting)
        assert waiting.written is not None  # noqa: S101  for mypy
        return await waiting.written

    def _put(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        if waiting.written is not None:
            self._urgent.set()
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="audit trail", context=Context())

    async def _write(self) -> None:
        while self._waiting:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    await self._urgent.wait()
            self._urgent.clear()
            batch = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            rows = self._placed([each.row for each in batch])
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._store.add(rows)
            except Exception as error:  # whatever it was, those who wait are told
                log.warning("audit.not_written", error=type(error).__name__, rows=len(rows))
                self._begin_chain()
                self._refuse(batch, again=isinstance(error, PyMongoError | TimeoutError))
                await asyncio.sleep(AGAIN_S if self._waiting else 0)
                continue
            self._n, self._digest = rows[-1].n, rows[-1].digest
            for each, row in zip(batch, rows, strict=True):
                if each.written is not None and not each.written.done():
                    each.written.set_result(row)

    def _placed(self, rows: list[AuditRow]) -> list[AuditRow]:
        """The same rows, each with its place behind the one before."""
        placed, digest = list[AuditRow](), self._digest
        for n, row in enumerate(rows, self._n + 1):
            there = msgspec.structs.replace(row, chain=self._chain, n=n)
            digest = row_digest(digest, there)
            placed.append(msgspec.structs.replace(there, digest=digest))
        return placed

    def _begin_chain(self) -> None:
        self._chains += 1
        self._chain, self._n, self._digest = f"{self._instance}-{self._chains}", 0, ""

    def _refuse(self, batch: list[_Waiting], *, again: bool) -> None:
        """Whoever waits is told; what nobody waits for comes again."""
        for each in reversed(batch):
            if each.written is None and again:
                self._waiting.appendleft(each)
            elif each.written is None:
                self.lost += 1
            elif not each.written.done():
                each.written.set_exception(
                    Unavailable("audit.away", "The audit trail cannot be written now, so nothing was done. Try again.")
                )
        while len(self._waiting) > MOST_WAITING:
            self._refuse([self._waiting.popleft()], again=False)


def about(call: Call[Any, Any], request: Any) -> str:
    """What a request names: the parts of the call's address, else its id or name."""
    in_path = [str(getattr(request, name)) for name in _in_path(call) if hasattr(request, name)]
    return ("/".join(in_path) or _name(request))[:200]


def became(call: Call[Any, Any], asked: str, reply: Any) -> str:
    """What it was about, once it is known: what was made may have an id that nobody could ask for."""
    if asked and (_in_path(call) or not getattr(reply, "id", "")):
        return asked
    return _name(reply)[:200]


def _in_path(call: Call[Any, Any]) -> list[str]:
    return IN_PATH.findall(call.http.path) if call.http is not None else []


def _name(message: Any) -> str:
    return next((value for name in NAMES if isinstance(value := getattr(message, name, None), str) and value), "")


def _end(asked: AuditRow, outcome: str, noted: Noted) -> AuditRow:
    return msgspec.structs.replace(
        asked,
        at=now(),
        kind=AuditKind.DONE,
        request="",
        ref=asked.id,
        outcome=outcome,
        before=noted.before,
        after=noted.after,
        digest="",
    )
