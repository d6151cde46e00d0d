"""The calls by which the gateway reads one service's trail."""

import msgspec

from contracts.audit import (
    UNKNOWN,
    AskHeads,
    AskRows,
    AuditEntries,
    AuditEntry,
    AuditKind,
    AuditRow,
    AuditRows,
    Heads,
    ListAudit,
    entries_of,
    heads_of,
    rows_of,
)
from contracts.people import Principal
from runtime.audit.fitting import LARGEST, fitting
from runtime.audit.store import AuditStore
from runtime.bus import Endpoint, answer

READ_AT_ONCE = 500
"""Rows read for one page, whatever of them it shows."""


def answers(store: AuditStore, service: str) -> list[Endpoint]:
    reader = Reader(store)
    return [
        answer(entries_of(service), reader.entries),
        answer(rows_of(service), reader.rows),
        answer(heads_of(service), reader.heads),
    ]


class Reader:
    def __init__(self, store: AuditStore) -> None:
        self._store = store

    async def entries(self, wanted: ListAudit, _: Principal) -> AuditEntries:
        budget = READ_AT_ONCE if wanted.text or wanted.outcome == UNKNOWN else 2 * wanted.limit
        rows = await self._store.newest(wanted, budget)
        ended = await self._store.ended([row.id for row in rows if row.kind is AuditKind.ASKED])
        asked = await self._store.by_id([row.ref for row in rows if row.kind is AuditKind.DONE])
        entries: list[AuditEntry] = []
        size, last = 0, ""
        for row in rows:
            last = row.id
            entry = None if row.id in ended else _entry(row, asked.get(row.ref, row))
            if entry is not None and _fits(entry, wanted):
                entries.append(entry)
                size += len(msgspec.json.encode(entry))
            if len(entries) == wanted.limit or size > LARGEST:
                break
        read_all = len(rows) < budget and (not rows or last == rows[-1].id)
        return AuditEntries(entries=entries, next="" if read_all else last)

    async def rows(self, wanted: AskRows, _: Principal) -> AuditRows:
        found = await self._store.following(wanted.chain, wanted.n, wanted.limit)
        taken = fitting(found)
        return AuditRows(rows=taken, more=len(taken) < len(found) or len(found) == wanted.limit)

    async def heads(self, wanted: AskHeads, _: Principal) -> Heads:
        found = await self._store.heads(wanted.since, wanted.after, wanted.limit)
        return Heads(heads=found, next=found[-1].chain if len(found) == wanted.limit else "")


def _entry(row: AuditRow, asked: AuditRow) -> AuditEntry:
    """`asked` is the row that asked, or `row` itself."""
    return AuditEntry(
        id=row.id,
        service=row.service,
        at=asked.at,
        who=row.who,
        call=row.call,
        object=row.object,
        request=asked.request,
        trace=row.trace,
        outcome=row.outcome or UNKNOWN,
        ended_at=row.at if row.kind is AuditKind.DONE else None,
        before=row.before,
        after=row.after,
        more=row.more,
    )


def _fits(entry: AuditEntry, wanted: ListAudit) -> bool:
    if wanted.outcome == UNKNOWN and entry.outcome != UNKNOWN:
        return False
    return not wanted.text or wanted.text.lower() in msgspec.json.encode(entry).decode().lower()
