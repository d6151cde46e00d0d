"""What can be asked of the audit trail as a whole. Each public method is one use case."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from contracts.audit import (
    AUDITED,
    AskRows,
    AuditEntries,
    AuditRow,
    Checkpoints,
    ExportEnd,
    ExportLine,
    ListAudit,
    ListCheckpoints,
    entries_of,
    rows_of,
)
from contracts.people import Principal
from runtime.audit import fitting
from runtime.bus import Bus
from services.gateway.audit.model import merged
from services.gateway.audit.notary import Notary
from services.gateway.audit.store import CheckpointStore

TIMEOUT_S = 8.0


class AuditService:
    def __init__(self, bus: Bus, store: CheckpointStore, notary: Notary) -> None:
        self._bus, self._store, self._notary = bus, store, notary

    async def list(self, request: ListAudit, _: Principal) -> AuditEntries:
        """Raises Unavailable if one of the services is away: a list with a gap would look whole."""
        asked = [self._bus.call(entries_of(service), request, timeout=TIMEOUT_S) for service in AUDITED]
        return merged(await asyncio.gather(*asked), request.limit)

    async def checkpoints(self, request: ListCheckpoints, _: Principal) -> Checkpoints:
        found = await self._store.following(request.after, request.limit)
        taken = fitting(found)
        more = len(taken) < len(found) or len(found) == request.limit
        return Checkpoints(checkpoints=taken, keys=self._notary.keys, next=taken[-1].n if more else 0)

    async def export(self) -> AsyncIterator[Sequence[ExportLine]]:
        """Everything, a piece at a time. Checkpoints come first: what they speak of is written by then.

        Raises Unavailable if a service is away.
        """
        yield [ExportLine(keys=self._notary.keys)]
        checkpoints = rows = last = 0
        while found := await self._store.following(last, 100):
            yield [ExportLine(checkpoint=each) for each in found]
            checkpoints, last = checkpoints + len(found), found[-1].n
        for service in AUDITED:
            async for page in self._rows(service):
                yield [ExportLine(row=each) for each in page]
                rows += len(page)
        yield [ExportLine(end=ExportEnd(checkpoints=checkpoints, rows=rows))]

    async def _rows(self, service: str) -> AsyncIterator[Sequence[AuditRow]]:
        asking, more = AskRows(), True
        while more:
            page = await self._bus.call(rows_of(service), asking, timeout=TIMEOUT_S)
            more = page.more
            if page.rows:
                yield page.rows
                asking = AskRows(chain=page.rows[-1].chain, n=page.rows[-1].n)
