"""Goes through the rows of an import that are virtual resources, as `comparing` of imports does for those that are
hosts."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from contracts.errors import ServiceError
from contracts.imports import Import, ImportCounts, ImportState, Row, RowOutcome, VirtualRules
from services.resources.imports import reading
from services.resources.imports.model import refused_as
from services.resources.imports.reading import Raw
from services.resources.virtual import model
from services.resources.virtual.model import Difference, Record
from services.resources.virtual.store import VirtualStore
from services.resources.virtual.taking import Taken, Taking

Refused = list[tuple[int, ServiceError]]


def collector(source: str) -> str:
    """Under which name resources of the source are kept; no collector can have it."""
    return f"source:{source}"


@dataclass
class VirtualComparison:
    store: VirtualStore
    work: Import
    rules: VirtualRules
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def applies(self) -> bool:
        return self.work.state is ImportState.APPLYING

    @property
    def told(self) -> ImportCounts:
        return ImportCounts(**self.counts)

    async def run(self, text: str) -> AsyncIterator[list[Row]]:
        """What became of the rows, some at a time; raises ServiceError if it cannot be done at all."""
        raws = await asyncio.to_thread(reading.rows, self.work.format, text)
        records, refused = await asyncio.to_thread(self._read, raws)
        taking = Taking(self.store, collector(self.work.rules.source), report=self.work.id, writes=self.applies)
        self.counts["rows"] = len(raws)
        yield self._counted([_refused(line, "", error) for line, error in refused])
        async for some in taking.take(records):
            yield self._counted([self._taken(each) for each in some])
        if not refused:
            async for missed in taking.missed():
                yield self._counted([self._row(0, each) for each in missed])

    def _read(self, raws: list[Raw]) -> tuple[list[Record], Refused]:
        records: list[Record] = []
        refused: Refused = []
        for raw in raws:
            try:
                records.append(model.of_row(raw, self.rules))
            except ServiceError as error:
                refused.append((raw.line, error))
        return records, refused

    def _taken(self, taken: Taken) -> Row:
        if isinstance(taken.outcome, ServiceError):
            return _refused(taken.record.line, taken.record.key, taken.outcome)
        return self._row(taken.record.line, taken.outcome)

    def _row(self, line: int, difference: Difference) -> Row:
        vanished = difference.outcome is RowOutcome.VANISHED
        return Row(
            line=line,
            outcome=difference.outcome,
            done=self.applies and difference.outcome is not RowOutcome.UNCHANGED,
            host=difference.after.host,
            name=model.key(difference.after),
            changes=model.changes(difference),
            reason="",
            message=f"missed {difference.after.missed} times" if vanished else "",
        )

    def _counted(self, rows: list[Row]) -> list[Row]:
        self.counts.update(row.outcome.value for row in rows)
        self.counts["done"] += sum(row.done for row in rows)
        return [row for row in rows if row.outcome is not RowOutcome.UNCHANGED]


def _refused(line: int, name: str, error: ServiceError) -> Row:
    return Row(
        line=line,
        outcome=refused_as(error),
        done=False,
        host="",
        name=name,
        changes=[],
        reason=error.reason,
        message=error.message,
    )
