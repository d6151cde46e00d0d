"""From the RESULTS stream into MongoDB: one insert per batch and collection, then the acknowledgements, then the word.

Nothing is acknowledged before it is stored with majority and journal, and a message that comes again is a duplicate
key, which is stored too. What no agent may send is kept in quarantine, counted, and answered as well, so that it does
not come for ever.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from contracts import subjects
from contracts.agents import Report
from contracts.errors import Unavailable
from contracts.runs import HostOutcome
from contracts.states import Outcome
from runtime.bus import Bus, Disconnected, Pull, StreamMessage, StreamSettings
from runtime.bus.streams import EVENTS, ensure_consumer, ensure_stream
from runtime.mongo import Document, PyMongoError
from services.jobs.output.store import OutputStore
from services.jobs.results import documents
from services.jobs.results.announcing import announce_outcomes, announce_output
from services.jobs.results.documents import Arrived, Unreadable, read
from services.jobs.results.store import OutcomeStore
from services.jobs.results.stored import Telling
from services.jobs.runs.model import Fact, run_of
from services.jobs.runs.store import RunStore
from services.jobs.waves import Hosts, WaveIndex

log = structlog.get_logger()

STREAM, CONSUMER = "RESULTS", "ingest"
BATCH = 500
SPACING_S = 0.05
"""Results that come while others just came wait so long for more of them. Each batch costs one journalled write, one
question about its runs and one event, whether it holds one result or five hundred: with a thousand hosts that is what
most of the work was."""
WORKERS = 2
"""While one waits for MongoDB, the other reads and signs."""
ACK_WAIT_S = 20
"""What an instance had taken when it died comes to another after so long. Longer than a write to MongoDB may take."""
TRY_AGAIN_S = 2.0
KEPT_BYTES = 16 * 1024
"""Of a message in quarantine."""


def results(max_bytes: int) -> StreamSettings:
    any_result = subjects.result(subjects.ANY, subjects.ANY, subjects.ANY)
    return StreamSettings(
        name=STREAM, subjects=(any_result,), retention="workqueue", max_bytes=max_bytes, discard="new"
    )


class Hearing(Protocol):
    def taken(self, run: str, facts: Sequence[Fact]) -> None:
        """Outcomes of a run are in MongoDB."""


class Settling(Protocol):
    def soon(self) -> None:
        """Closed runs got reports: count them anew."""


@dataclass
class _Sorted:
    """A batch, read."""

    good: list[Arrived] = field(default_factory=list)
    strange: list[Arrived] = field(default_factory=list)
    """Readable, but not of a host of that task."""
    quarantine: list[Document] = field(default_factory=list)
    again: Set[str] = frozenset()
    """Ids of reports that are stored since before: whoever sends once more may not have understood the receipt."""


@dataclass(kw_only=True)
class Ingest:
    bus: Bus
    runs: RunStore
    outcomes: OutcomeStore
    output: OutputStore
    waves: WaveIndex
    telling: Telling
    hearing: Hearing
    settling: Settling
    max_bytes: int
    counters: Counter[str]
    _pull: Pull = field(init=False)
    _workers: list[asyncio.Task[None]] = field(default_factory=list)
    _taking: set[asyncio.Task[Any] | None] = field(default_factory=set)
    """Workers in the middle of a batch: they finish what they took."""
    _closing: bool = False

    async def __aenter__(self) -> "Ingest":
        await self._prepare()
        self._pull = Pull(self.bus.connection, STREAM, CONSUMER, size=BATCH, spacing_s=SPACING_S)
        await self._pull.start()
        self._workers = [asyncio.create_task(self._work(), name=f"ingest {n}") for n in range(WORKERS)]
        return self

    async def _prepare(self) -> None:
        """JetStream may still be starting when the bus is there already."""
        connection = self.bus.connection
        while True:
            try:
                await ensure_stream(connection, results(self.max_bytes))
                await ensure_stream(connection, EVENTS)
                return await ensure_consumer(
                    connection, STREAM, CONSUMER, ack_wait_s=ACK_WAIT_S, max_ack_pending=20 * BATCH
                )
            except Unavailable as error:
                log.warning("ingest.waiting", error=error.message)
                await asyncio.sleep(1)

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        for worker in self._workers:
            if worker not in self._taking:
                worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        await self._pull.close()

    async def _work(self) -> None:
        me = asyncio.current_task()
        while not self._closing:
            batch = await self._pull.batch()
            self._taking.add(me)
            try:
                await self.take(batch)
            except Disconnected:
                self.counters["ingest_disconnected"] += 1
            except PyMongoError as error:
                log.warning("ingest.database_away", messages=len(batch), error=type(error).__name__)
                await self._again(batch)
            except Exception:
                log.exception("ingest.crashed", messages=len(batch))
                await self._again(batch)
            finally:
                self._taking.discard(me)

    async def _again(self, batch: Sequence[StreamMessage]) -> None:
        try:
            await self._pull.again(batch, delay_s=TRY_AGAIN_S)
        except Disconnected:
            self.counters["ingest_disconnected"] += 1
        await asyncio.sleep(TRY_AGAIN_S / 4)

    async def take(self, batch: Sequence[StreamMessage]) -> None:
        """Store a batch and answer it. Raises PyMongoError if nothing may be acknowledged, and Disconnected."""
        now = datetime.now(UTC)
        sorted_ = self._read(batch, now)
        hosts = await self.waves.of_all({each.origin.task for each in sorted_.good})
        self._check_hosts(sorted_, hosts, now)
        reports, chunks = await self._store(sorted_, now)
        runs = await self.runs.reported(sorted({run_of(each.origin.task) for each in reports})) if reports else None
        await self._pull.ack(batch)
        fresh, others = _by_receipt(reports, sorted_.again)
        self.telling.later(fresh)
        self.telling.later((*others, *chunks, *sorted_.strange), signed=True)
        late = await self._late(reports, runs.with_verdicts) if runs else {}
        if runs and runs.closed:
            self.settling.soon()
        # Told before heard: viewers get the last outcomes before the end of the run.
        await self._tell(reports, chunks, hosts, late)
        self._hear(reports)

    def _read(self, batch: Sequence[StreamMessage], now: datetime) -> _Sorted:
        found = _Sorted()
        for message in batch:
            try:
                found.good.append(read(message.subject, message.data))
            except Unreadable as error:
                found.quarantine.append(_bad(message.subject, message.data, str(error), now))
        return found

    def _check_hosts(self, found: _Sorted, hosts: Mapping[str, Hosts], now: datetime) -> None:
        good: list[Arrived] = []
        for each in found.good:
            target = hosts.get(each.origin.task, {}).get(each.origin.host)
            if target is not None and target.idc == each.origin.idc:
                good.append(each)
            else:
                found.strange.append(each)
                found.quarantine.append(_strange(each, "the task is not one of this host", now))
        found.good = good

    async def _store(self, found: _Sorted, now: datetime) -> tuple[list[Arrived], list[Arrived]]:
        """Everything is kept when this returns: reports and chunks, and the rest in quarantine."""
        reports = [each for each in found.good if isinstance(each.item, Report)]
        chunks = [each for each in found.good if not isinstance(each.item, Report)]
        inserted, inserted_chunks = await asyncio.gather(
            self.outcomes.insert([documents.document(each, now) for each in reports]),
            self.output.insert([documents.document(each, now) for each in chunks]),
        )
        found.again = inserted.again
        for bad in (*inserted.bad, *inserted_chunks.bad):
            self.counters["ingest_unstorable"] += 1
            text = repr(bad).encode(errors="replace")
            found.quarantine.append(_bad(bad["_id"], text, "MongoDB cannot hold one of its values", now))
        if found.quarantine:
            log.warning("ingest.quarantine", messages=len(found.quarantine), why=found.quarantine[0]["why"])
            await self.outcomes.quarantine(found.quarantine)
        self.counters["ingested_outcomes"] += len(reports)
        self.counters["ingested_output"] += len(chunks)
        self.counters["quarantined"] += len(found.quarantine)
        if inserted.bad:
            unstored = {bad["_id"] for bad in inserted.bad}
            found.strange += [each for each in reports if documents.report_id(each.origin) in unstored]
            reports = [each for each in reports if documents.report_id(each.origin) not in unstored]
        return reports, chunks

    def _hear(self, reports: Iterable[Arrived]) -> None:
        facts: dict[str, list[Fact]] = {}
        for each in reports:
            _, host, task = each.origin
            facts.setdefault(run_of(task), []).append(Fact(task, host, True, _report(each).outcome))
        for run, found in facts.items():
            self.hearing.taken(run, found)

    async def _late(self, reports: Iterable[Arrived], with_verdicts: set[str]) -> dict[tuple[str, str], Outcome]:
        """The verdicts that these reports replace."""
        asked = [(each.origin.task, each.origin.host) for each in reports if run_of(each.origin.task) in with_verdicts]
        return await self.outcomes.verdicts(asked) if asked else {}

    async def _tell(
        self,
        reports: Iterable[Arrived],
        chunks: Iterable[Arrived],
        hosts: Mapping[str, Hosts],
        late: Mapping[tuple[str, str], Outcome],
    ) -> None:
        outcomes: dict[str, list[HostOutcome]] = {}
        for each in reports:
            (_, host, task), report = each.origin, _report(each)
            replaced = late.get((task, host), report.outcome) != report.outcome
            told = documents.told(each.origin, report, hosts[task][host].hostname, late=replaced)
            outcomes.setdefault(run_of(task), []).append(told)
        for run, found in outcomes.items():
            await announce_outcomes(self.bus, run, found)
        output: dict[str, set[str]] = {}
        for each in chunks:
            output.setdefault(run_of(each.origin.task), set()).add(each.origin.host)
        for run, names in output.items():
            await announce_output(self.bus, run, names)


def _by_receipt(reports: list[Arrived], again: Set[str]) -> tuple[list[Arrived], list[Arrived]]:
    """The reports that a receipt is enough for, and those whose hosts are to get the signed word."""
    if not again:
        return reports, []
    known = [each for each in reports if documents.report_id(each.origin) in again]
    return [each for each in reports if documents.report_id(each.origin) not in again], known


def _report(each: Arrived) -> Report:
    if not isinstance(each.item, Report):
        raise TypeError(each.item)
    return each.item


def _strange(each: Arrived, why: str, now: datetime) -> Document:
    idc, host, task = each.origin
    return _bad(subjects.result(idc, host, task), repr(each.item).encode(errors="replace"), why, now)


def _bad(subject: str, data: bytes, why: str, now: datetime) -> Document:
    return {"subject": subject, "data": data[:KEPT_BYTES], "bytes": len(data), "why": why, "at": now}
