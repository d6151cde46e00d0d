"""Goes through the rows of an import, some at a time: which hosts they are, what differs, and, if asked, makes it so.

Every row is looked at anew when it is applied, so an import that was interrupted is begun again, and finds what it did
already unchanged.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from contracts.edits import OriginKind
from contracts.errors import ServiceError
from contracts.hosts import Host, HostState
from contracts.imports import (
    Format,
    Import,
    ImportCounts,
    ImportState,
    Key,
    OnChanged,
    OnNew,
    OnVanished,
    Row,
    RowOutcome,
)
from contracts.topology import Attribute
from runtime import ids
from runtime.mongo import now
from services.resources.attributes.store import AttributeStore
from services.resources.history.model import Author
from services.resources.hosts import editing
from services.resources.hosts.editing import Edit, HostEditor, Manner
from services.resources.imports import fields, model, reading
from services.resources.imports.model import Known, Read, Taken
from services.resources.imports.reading import Raw
from services.resources.imports.store import ImportStore
from services.resources.topology.store import PlaceStore
from services.resources.virtual.store import VirtualStore

AT_ONCE = 500
MARKS = {OnVanished.IGNORE: None, OnVanished.RETIRE: HostState.RETIRED, OnVanished.FAULTY: HostState.FAULTY}


@dataclass(frozen=True)
class Stores:
    imports: ImportStore
    places: PlaceStore
    attributes: AttributeStore
    editor: HostEditor
    virtual: VirtualStore


@dataclass
class Comparison:
    stores: Stores
    work: Import
    counts: Counter[str] = field(default_factory=Counter)
    _taken: Taken = field(default_factory=Taken)
    _declared: dict[str, Attribute] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)

    @property
    def applies(self) -> bool:
        return self.work.state is ImportState.APPLYING

    @property
    def told(self) -> ImportCounts:
        return ImportCounts(**self.counts)

    @property
    def _author(self) -> Author:
        return Author(OriginKind.IMPORT, self.work.rules.source, self.work.by)

    async def run(self, text: str) -> AsyncIterator[list[Row]]:
        """What became of the rows, some at a time; raises ServiceError if it cannot be done at all."""
        rules = self.work.rules
        raws = await asyncio.to_thread(reading.rows, self.work.format, text)
        if self.work.format is Format.CSV and raws:
            fields.check_columns(raws[0].values.keys(), rules)
        self._declared = await self.stores.attributes.declared()
        reads = await asyncio.to_thread(lambda: [self._read(raw) for raw in raws])
        await self._look(reads)
        for start in range(0, len(reads), AT_ONCE):
            yield self._counted(await self._some(reads[start : start + AT_ONCE]))
        self.counts["rows"] = len(reads)
        if not self.counts["rejected"]:
            yield self._counted(await self._vanished())

    def _read(self, raw: Raw) -> Read:
        try:
            return Read(raw, fields.values(raw, self.work.rules, self._declared))
        except ServiceError as error:
            return Read(raw, refusal=error)

    async def _look(self, reads: Sequence[Read]) -> None:
        """Whom the source named so far. Raises Conflict, before anything is changed, if too many would vanish."""
        rules = self.work.rules
        self._known = await self.stores.imports.of_source(rules.source)
        if rules.vanished is OnVanished.IGNORE:
            return
        vanished = set(self._known)
        for start in range(0, len(reads), AT_ONCE):
            found = await self.stores.imports.named(_names(reads[start : start + AT_ONCE], self.work))
            vanished -= {host.id for host in found}
        model.refuse_too_many(len(vanished), len(self._known), rules)

    async def _some(self, reads: Sequence[Read]) -> list[Row]:
        named = [name for read in reads for name in model.names(read.values, {*self.work.rules.match_by, Key.IP})]
        found = await self.stores.imports.named(named)
        matched, refused = await asyncio.to_thread(self._matched, reads, found)
        old = [(read, host) for read, host in matched if host is not None]
        new = [read for read, host in matched if host is None]
        return [*refused, *await self._old(old), *await self._new(new)]

    def _matched(
        self, reads: Sequence[Read], found: Sequence[Host]
    ) -> tuple[list[tuple[Read, Host | None]], list[Row]]:
        keys = self.work.rules.match_by
        known, matched, refused = Known.of(found, {*keys, Key.IP}), [], []
        for read in reads:
            try:
                if read.refusal is not None:
                    raise read.refusal
                host = known.match(read.values, keys)
                given = model.given_ips(read.values, host)
                own = [] if host else model.names(read.values, keys)
                self._taken.take(read.raw.line, host, {*own, *given})
                known.refuse_others_ips(host, given)
                matched.append((read, host))
            except ServiceError as error:
                refused.append(model.told(Read(read.raw, read.values, error), model.refused_as(error)))
        return matched, refused

    async def _old(self, rows: Sequence[tuple[Read, Host]]) -> list[Row]:
        at, by = now(), self.work.by
        reads = {host.id: read for read, host in rows}

        def decide(host: Host) -> Host:
            return model.merged(host, reads[host.id].values, by=by, at=at)

        writes = self.applies and self.work.rules.changed is OnChanged.UPDATE
        same = await asyncio.to_thread(lambda: {host.id: host for _, host in rows if editing.stays(host, decide)})
        edits = [Edit(host, host, []) for host in same.values()]
        edits += await self.stores.editor.edit(sorted(reads.keys() - same.keys()), decide, self._manner(writes=writes))
        if self.applies:
            await self.stores.imports.note_source(self.work.rules.source, list(reads))
        return [_old(reads[edit.after.id], edit, done=writes) for edit in edits]

    async def _new(self, reads: Sequence[Read]) -> list[Row]:
        at, by, keys = now(), self.work.by, self.work.rules.match_by

        def make() -> list[Edit]:
            return [model.made(model.blank(ids.host_id(), by, at), read.values, keys) for read in reads]

        writes = self.applies and self.work.rules.new is OnNew.CREATE
        made = await asyncio.to_thread(make)
        edits = await self.stores.editor.checked(made, self._manner(writes=writes))
        good = [edit for edit in edits if edit.refusal is None]
        if writes and good:
            await self.stores.editor.create(good, self._author)
            await self.stores.imports.note_source(self.work.rules.source, [edit.after.id for edit in good])
        return [_new(read, edit, done=writes) for read, edit in zip(reads, edits, strict=True)]

    def _manner(self, *, writes: bool) -> Manner:
        return Manner(self._author, dry_run=not writes, make_places=self.work.rules.make_places)

    async def _vanished(self) -> list[Row]:
        gone = sorted(self._known - self._taken.hosts.keys())
        state, by, at = MARKS[self.work.rules.vanished], self.work.by, now()
        edits = await self.stores.editor.edit(
            gone, lambda host: model.gone(host, state, by=by, at=at), self._manner(writes=self.applies)
        )
        nothing = Read(Raw(0, {}))
        return [model.told(nothing, RowOutcome.VANISHED, e, done=self.applies and bool(e.changes)) for e in edits]

    def _counted(self, rows: list[Row]) -> list[Row]:
        self.counts.update(row.outcome.value for row in rows)
        self.counts["done"] += sum(row.done for row in rows)
        return [row for row in rows if row.outcome is not RowOutcome.UNCHANGED]


def _names(reads: Sequence[Read], work: Import) -> list[model.Named]:
    return [name for read in reads for name in model.names(read.values, work.rules.match_by)]


def _old(read: Read, edit: Edit, *, done: bool) -> Row:
    if edit.refusal is not None:
        return model.told(read, model.refused_as(edit.refusal), edit)
    outcome = RowOutcome.CHANGED if edit.changes else RowOutcome.UNCHANGED
    return model.told(read, outcome, edit, done=done and bool(edit.changes))


def _new(read: Read, edit: Edit, *, done: bool) -> Row:
    if edit.refusal is not None:
        return model.told(read, model.refused_as(edit.refusal), edit)
    return model.told(read, RowOutcome.NEW, edit, done=done)
