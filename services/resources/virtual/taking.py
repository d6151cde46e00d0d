"""Takes what one collector or source says over many hosts: record by record, then what it did not name."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from contracts.errors import ServiceError
from contracts.imports import RowOutcome
from runtime.mongo import now
from services.resources.virtual import model
from services.resources.virtual.model import Difference, Placed, Record
from services.resources.virtual.store import VirtualStore

AT_ONCE = 200
"""So few that none of the steps keeps the event loop busy for long."""


class Taken(NamedTuple):
    record: Record
    outcome: Difference | ServiceError
    """The error: it was refused."""


@dataclass
class Taking:
    """One report of one collector. Taken again after an interruption, it finds what it did already unchanged."""

    store: VirtualStore
    collector: str
    report: str = ""
    """Names the report, so that it misses nothing twice."""
    writes: bool = True
    counts: Counter[str] = field(default_factory=Counter)
    """By outcome; `missed` and `stale` are those that vanished now."""
    _seen: set[str] = field(default_factory=set)
    _unplaced: set[str] = field(default_factory=set)
    """Kind and name of records whose host is not known: they may be one that would be missed."""

    async def take(self, records: Sequence[Record]) -> AsyncIterator[list[Taken]]:
        for start in range(0, len(records), AT_ONCE):
            yield await self._some(records[start : start + AT_ONCE])

    async def _some(self, records: Sequence[Record]) -> list[Taken]:
        places = await self.store.places({record.host for record in records})
        placed, refused = self._placed(records, places)
        known = await self.store.known([model.named(self.collector, each) for each in placed])
        at = now()
        differences = []
        for each in placed:
            before = known.get(model.named(self.collector, each))
            differences.append(model.seen(each, before, self.collector, self.report, at))
        await self._put(differences)
        return [*(Taken(each.record, found) for each, found in zip(placed, differences, strict=True)), *refused]

    def _placed(self, records: Iterable[Record], places: model.Places) -> tuple[list[Placed], list[Taken]]:
        placed: list[Placed] = []
        refused: list[Taken] = []
        for record in records:
            try:
                each = Placed(record, places.host(record.host))
            except ServiceError as error:
                self._unplaced.add(record.key)
                refused.append(Taken(record, error))
                continue
            if twice := model.twice(each, self.collector, self._seen):
                refused.append(Taken(record, twice))
                continue
            self._seen.add(model.named(self.collector, each))
            placed.append(each)
        return placed, refused

    async def missed(self, *, host: str = "", doubtful: Collection[str] = ()) -> AsyncIterator[list[Difference]]:
        """What the collector named before and not now, on this host or on all; of doubtful hosts nobody can say."""
        async for page in self.store.of_collector(self.collector, host=host, at_once=AT_ONCE):
            gone = [each for each in page if each.id not in self._seen and model.key(each) not in self._unplaced]
            found = [model.missed(each, self.report) for each in gone if each.host not in doubtful]
            await self._put(found)
            yield [each for each in found if each.outcome is RowOutcome.VANISHED and not _stale_before(each)]
            await asyncio.sleep(0)

    async def _put(self, differences: Iterable[Difference]) -> None:
        differences = list(differences)
        for each in differences:
            self._count(each)
        if self.writes:
            await self.store.put([each.after for each in differences if each.after is not each.before])

    def _count(self, each: Difference) -> None:
        if each.outcome is not RowOutcome.VANISHED:
            self.counts[each.outcome.value] += each.after is not each.before
        else:
            self.counts["stale" if each.after.stale else "missed"] += not _stale_before(each)


def _stale_before(difference: Difference) -> bool:
    return difference.before is not None and difference.before.stale
