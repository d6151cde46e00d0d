"""Starts the runs of collectors and, when they have ended, takes what each host said as its report.

A run is started with its collection's id as the key, and a report is taken under the run's id, so whatever was
interrupted is done again without being done twice.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import msgspec
import structlog

from contracts import runs
from contracts.collectors import Collection, CollectionState
from contracts.errors import Invalid, NotFound, ServiceError, Unavailable
from contracts.runs import HostResult, ListHostResults, ReadOutput, Run, RunRef
from contracts.states import Outcome
from runtime import ids
from runtime.bus import Bus
from runtime.mongo import PyMongoError, now
from services.resources.collectors import model
from services.resources.collectors.model import Tally
from services.resources.collectors.store import CollectorStore
from services.resources.virtual import model as virtual
from services.resources.virtual.store import VirtualStore
from services.resources.virtual.taking import Taking

log = structlog.get_logger()

PAGE = 200
READ_AT_ONCE = 16
PATIENCE = timedelta(minutes=2)
"""So long after a run has ended may output still be on its way."""
START_S = 30.0
"""A run of many hosts takes a while to be written down."""


class NotStored(Exception):
    """Some output is still on its way."""


class CollectionFollower:
    def __init__(self, collectors: CollectorStore, store: VirtualStore, bus: Bus) -> None:
        self._collectors, self._virtual, self._bus = collectors, store, bus

    async def begin_due(self) -> None:
        """Begin what is due; what still runs is not begun again. Only one instance does it at a time."""
        while (collector := await self._collectors.due()) is not None:
            at = now()
            await self._collectors.wait_until(collector, model.following(collector.every_s, at))
            by = f"collector {collector.name}"
            begun = await self._collectors.begin(model.begun(f"c{ids.run_id()}", collector, by, at))
            log.info("collection.begun", id=begun.id, collector=collector.name)

    async def follow(self) -> None:
        """Look at every collection that is open. Only one instance does it at a time."""
        for collection in await self._collectors.open():
            try:
                await self._look_at(collection)
            except (Unavailable, NotStored) as error:
                log.info("collection.waiting", id=collection.id, error=str(error)[:300])
            except ServiceError as error:
                await self._end(model.failed(collection, error, now()))
            except PyMongoError:
                raise
            except Exception:  # or it would crash for ever, and all others wait
                log.exception("collection.crashed", id=collection.id)
                await self._end(model.failed(collection, ServiceError(), now()))

    async def _look_at(self, collection: Collection) -> None:
        await self._refuse_deleted(collection)
        if not collection.run:
            run = await self._bus.call(runs.start, model.run_of(collection), timeout=START_S)
            started = msgspec.structs.replace(collection, state=CollectionState.RUNNING, run=run.id)
            await self._collectors.note(started)
            return
        run = await self._bus.call(runs.show, RunRef(run=collection.run))
        if run.ended_at is not None:
            await self._take(collection, run)

    async def _refuse_deleted(self, collection: Collection) -> None:
        """Raises NotFound. What was taken while somebody deleted the collector is stale like all that it named."""
        if await self._collectors.get(collection.collector) is None:
            await self._virtual.forsake(collection.collector)
            raise NotFound("collector.unknown", f"The collector {collection.collector} was deleted meanwhile.")

    async def _take(self, collection: Collection, run: Run) -> None:
        taking, tally = Taking(self._virtual, collection.collector, report=run.id), Tally()
        async for results in self._results(run.id):
            reporting = [each for each in results if each.state == Outcome.SUCCEEDED]
            tally.silent += len(results) - len(reporting)
            for start in range(0, len(reporting), READ_AT_ONCE):
                some = reporting[start : start + READ_AT_ONCE]
                for each, text in zip(some, await self._outputs(run, some), strict=True):
                    await self._take_host(collection, each.host, text, taking, tally)
        if not (collection.program.targets.local and tally.doubtful):
            async for _ in taking.missed(doubtful=tally.doubtful):
                pass
        await self._refuse_deleted(collection)
        counts = {name: taking.counts[name] for name in ("new", "changed", "unchanged", "missed", "stale")}
        await self._end(model.ended(collection, tally, counts, now()))

    async def _take_host(
        self, collection: Collection, host: str, text: str | Invalid, taking: Taking, tally: Tally
    ) -> None:
        tally.hosts += 1
        if isinstance(text, Invalid):
            tally.doubt(host, [(0, text)])
            return
        about, kinds = model.told_of(collection.program, host), collection.program.kinds
        records, refused = await asyncio.to_thread(virtual.read, text, host=about, kinds=kinds)
        try:
            if about:
                virtual.refuse_too_many(records)
        except Invalid as error:
            tally.doubt(host, [(0, error)])
            return
        tally.doubt(host, refused)
        tally.rows += len(records) + len(refused)
        async for some in taking.take(records):
            tally.refuse(host, [(e.record.line, e.outcome) for e in some if isinstance(e.outcome, ServiceError)])

    async def _end(self, collection: Collection) -> None:
        await self._collectors.note(collection)
        log.info(
            "collection.ended",
            id=collection.id,
            collector=collection.collector,
            state=collection.state,
            reason=collection.reason,
            rows=collection.rows,
            refused=collection.refused,
        )

    async def _results(self, run: str) -> AsyncIterator[Sequence[HostResult]]:
        after = ""
        while True:
            page = await self._bus.call(runs.list_host_results, ListHostResults(run=run, after=after, limit=PAGE))
            yield page.hosts
            after = page.next
            if not after:
                return

    async def _outputs(self, run: Run, results: Sequence[HostResult]) -> list[str | Invalid]:
        return list(await asyncio.gather(*(self._output(run, each) for each in results)))

    async def _output(self, run: Run, result: HostResult) -> str | Invalid:
        """All of it, or why it cannot be taken. Raises NotStored."""
        try:
            model.check_output(result)
        except Invalid as error:
            return error
        text, offset = [], 0
        while True:
            piece = await self._bus.call(runs.read_output, ReadOutput(run=run.id, host=result.host, offset=offset))
            text.append(piece.text)
            offset = piece.next_offset
            if piece.complete and offset >= piece.stored_bytes:
                return "".join(text)
            if not piece.text:
                break
        if run.ended_at is not None and now() - run.ended_at < PATIENCE:
            raise NotStored(f"the output of {result.host} is not all stored yet")
        return Invalid("virtual.incomplete", f"Only {offset} bytes of the output were stored.")
