"""Reading and searching output. Each public method is one use case."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from contracts.agents import HEAD_BYTES
from contracts.errors import NotFound
from contracts.people import Principal
from contracts.runs import HostMatches, Output, ReadOutput, SearchOutput, SearchResults
from runtime.mongo import Document
from runtime.paging import fitting
from services.jobs.output.pieces import Piece, contiguous, joined
from services.jobs.output.search import LineSearch
from services.jobs.output.store import OutputStore
from services.jobs.paging import fitting_text
from services.jobs.results.documents import REPORT
from services.jobs.results.store import OutcomeStore
from services.jobs.runs import visibility
from services.jobs.runs.model import Target, newest_tasks
from services.jobs.runs.store import RunStore
from services.jobs.waves import WaveIndex

HOSTS_AT_ONCE = 32
"""Heads read together; each has up to 64 KiB."""
SMALL = 16 * 1024
"""Characters that are searched in less than a millisecond."""
MOST_READ = 24 * 1024 * 1024
"""Characters of output that one search reads before its page ends."""


@dataclass(frozen=True)
class OutputService:
    runs: RunStore
    outcomes: OutcomeStore
    output: OutputStore
    waves: WaveIndex

    async def read(self, request: ReadOutput, by: Principal) -> Output:
        await visibility.check(self.runs, request.run, by)
        hosts = await self._hosts(request.run)
        if request.host not in hosts:
            raise NotFound("run.host_unknown", f"The host {request.host} is not part of this run.")
        task, _target = hosts[request.host]
        found = await self.outcomes.of_hosts({request.host: task}, HEAD_BYTES)
        outcome = found[request.host][0] if request.host in found else None
        head = _head(outcome)
        pieces = [head] if head.end > request.offset else []
        at = max(request.offset, head.end)
        async for piece in self.output.pieces(task, request.host, at):
            if piece.offset > at or piece.offset > request.offset + request.limit:
                break
            pieces.append(piece)
            at = piece.end
        text, behind = joined(sorted(pieces), request.offset, request.limit)
        fits = fitting_text(text)
        count, reach = await self.output.reach(task, request.host)
        return Output(
            text=fits,
            offset=behind - len(text.encode()),
            next_offset=behind - len(text.encode()) + len(fits.encode()),
            stored_bytes=max(head.end, reach),
            complete=_complete(outcome, count),
            dropped=outcome.get("output_dropped", 0) if outcome else 0,
            task=task,
        )

    async def search(self, request: SearchOutput, by: Principal) -> SearchResults:
        """Reads host by host until the page is full or enough was read."""
        await visibility.check(self.runs, request.run, by)
        hosts = await self._hosts(request.run)
        names = [host for host in sorted(hosts) if host > request.after]
        found: list[HostMatches] = []
        read = 0
        for start in range(0, len(names), HOSTS_AT_ONCE):
            group = names[start : start + HOSTS_AT_ONCE]
            outcomes = await self.outcomes.of_hosts({host: hosts[host][0] for host in group}, HEAD_BYTES)
            for host in group:
                outcome = outcomes[host][0] if host in outcomes else None
                search, length = await self._searched(request, hosts[host][0], host, outcome)
                read += length
                if search.count:
                    found.append(_matches(hosts[host][1], search))
                if len(found) >= request.limit or read >= MOST_READ:
                    return _page(found, host if host != names[-1] else "")
        return _page(found, "")

    async def _searched(
        self, request: SearchOutput, task: str, host: str, outcome: Document | None
    ) -> tuple[LineSearch, int]:
        search, read = LineSearch(request.text, ignore_case=request.ignore_case), 0
        head = _head(outcome)
        at = 0
        async for piece in self._in_order(head, task, host, outcome):
            for text in contiguous([Piece(piece.offset - at, piece.text)]):
                if len(text) > SMALL:
                    await asyncio.to_thread(search.feed, text)
                else:
                    search.feed(text)
                read += len(text)
            if piece.offset > at:
                break
            at = max(at, piece.end)
        search.end()
        return search, read

    async def _in_order(self, head: Piece, task: str, host: str, outcome: Document | None) -> AsyncIterator[Piece]:
        if head.text:
            yield head
        if outcome is None or outcome["kind"] != REPORT or outcome["chunks"]:
            async for piece in self.output.pieces(task, host, head.end):
                yield piece

    async def _hosts(self, run: str) -> dict[str, tuple[str, Target]]:
        """Host → its newest task and itself. Raises NotFound."""
        tasks = await self.waves.of_run(run)
        if not tasks:
            raise visibility.unknown(run)
        return {host: (task, tasks[task][host]) for host, task in newest_tasks(tasks).items()}


def _head(outcome: Document | None) -> Piece:
    return Piece(0, outcome.get("head", "") if outcome else "")


def _complete(outcome: Document | None, chunks: int) -> bool:
    if outcome is None:
        return False
    return bool(outcome["kind"] != REPORT or chunks >= outcome["chunks"])


def _matches(target: Target, search: LineSearch) -> HostMatches:
    return HostMatches(host=target.id, hostname=target.hostname, matches=search.matches, count=search.count)


def _page(found: list[HostMatches], after: str) -> SearchResults:
    page = fitting(found)
    return SearchResults(hosts=page, next=page[-1].host if len(page) < len(found) else after)
