"""Where each host of a run stands."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from contracts.people import Principal
from contracts.runs import HostResult, HostResults, ListHostResults
from contracts.states import LIVE_RUN, Live, Outcome
from runtime.mongo import Document
from runtime.paging import fitting
from services.jobs.paging import cut
from services.jobs.results.store import OutcomeStore
from services.jobs.runs import visibility
from services.jobs.runs.model import Target, newest_tasks, outcomes
from services.jobs.runs.store import Brief, RunStore
from services.jobs.waves import WaveIndex

_COPIED = (
    "exit_code",
    "signal",
    "reason",
    "message",
    "started_at",
    "ended_at",
    "output_bytes",
    "output_dropped",
    "output_hash",
    "tag",
    "result",
)


MOST_HEADS = 4 * 1024 * 1024
"""Bytes of heads read for a page; more would not fit the message anyway."""


class Knowing(Protocol):
    async def states(self, run: Brief, hosts: Iterable[str]) -> Mapping[str, str]:
        """Where these hosts of a live run stand, as its holder knows."""


@dataclass(frozen=True)
class ResultService:
    runs: RunStore
    outcomes: OutcomeStore
    waves: WaveIndex
    holding: Knowing

    async def list(self, request: ListHostResults, by: Principal) -> HostResults:
        await visibility.check(self.runs, request.run, by)
        run = await self.runs.brief(request.run)
        tasks = await self.waves.of_run(request.run)
        if not tasks:
            raise visibility.unknown(request.run)
        newest = newest_tasks(tasks)
        hosts = sorted(newest)
        if request.outcomes:
            having = outcomes(newest, await self.outcomes.facts(sorted(tasks)))
            hosts = [host for host in hosts if having.get(host) in request.outcomes]
        limit = min(request.limit, MOST_HEADS // max(request.head_bytes, 1))
        page = [host for host in hosts if host > request.after][:limit]
        found = await self.outcomes.of_hosts({host: newest[host] for host in page}, request.head_bytes)
        open_ = [host for host in page if host not in found]
        live = await self.holding.states(run, open_) if open_ and run.state in LIVE_RUN else {}
        results = [
            _ended(tasks[newest[host]][host], *found[host], request.head_bytes)
            if host in found
            else _open(tasks[newest[host]][host], newest[host], live.get(host, Live.PENDING))
            for host in page
        ]
        fits = fitting(results)
        more = bool(page) and (len(fits) < len(page) or page[-1] != hosts[-1])
        return HostResults(hosts=fits, next=fits[-1].host if more else "")


def _open(target: Target, task: str, state: str) -> HostResult:
    return HostResult(host=target.id, hostname=target.hostname, ip=target.ip, idc=target.idc, task=task, state=state)


def _ended(target: Target, outcome: Document, late: bool, head_bytes: int) -> HostResult:
    copied = {name: outcome[name] for name in _COPIED if name in outcome}
    return HostResult(
        host=target.id,
        hostname=target.hostname,
        ip=target.ip,
        idc=target.idc,
        task=outcome["task"],
        state=Outcome(outcome["outcome"]),
        late=late,
        head=cut(outcome.get("head", ""), head_bytes),
        **copied,
    )
