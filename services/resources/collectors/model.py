"""A collector, its runs, and what they come to. Pure."""

from collections.abc import Collection as Several
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from contracts.collectors import Collection, CollectionState, Collector, Program, PutCollector, RefusedReport
from contracts.errors import Forbidden, Invalid, ServiceError
from contracts.hosts import Targets
from contracts.names import NameKind
from contracts.people import Principal
from contracts.permissions import COLLECTOR_TAG, EVERYTHING
from contracts.runs import HostResult, StartRun
from runtime import revisions
from runtime.authorize import scopes

START = "runs:start"
SHORTEST_S = 60
MOST_OUTPUT_BYTES = 4 * 1024 * 1024
"""Of one host."""
KEPT_REFUSALS = 100


def check(request: PutCollector, principal: Principal) -> None:
    """Raise Invalid, or Forbidden for somebody who may not start runs on every host."""
    if EVERYTHING not in scopes(principal, START):
        raise Forbidden(
            "auth.forbidden", f"{principal.name} may not define collectors: that needs {START} too, without a scope."
        )
    if 0 < request.every_s < SHORTEST_S:
        raise Invalid("collector.too_often", f"A collector runs every {SHORTEST_S} s at most, or on demand only (0).")
    targets = request.program.targets
    if targets.local and targets != Targets(local=True):
        raise Invalid(
            "collector.bad_targets",
            "A collector runs on the management host, for hosts that its lines name, or on hosts that are chosen, for"
            " themselves: give `local` alone, or leave it out.",
        )


def check_tagged(name: str, tags: Several[str]) -> None:
    """Raises Invalid."""
    if COLLECTOR_TAG not in tags:
        raise Invalid(
            "collector.not_tagged",
            f"The script {name} has not the tag {COLLECTOR_TAG}, so it cannot be run as one. Have it tagged.",
        )


def names(program: Program, groups: Iterable[str]) -> list[str]:
    """What it names that would mean something else if it were deleted and made again; `groups` by its expressions."""
    filters = [each for each in (program.targets, program.targets.exclude) if each]
    groups = {*groups, *(name for each in filters for name in each.groups)}
    businesses = {name for each in filters for name in each.businesses}
    return sorted(
        [
            name_of(NameKind.ACCOUNT, program.account),
            *(name_of(NameKind.GROUP, name) for name in groups),
            *(name_of(NameKind.BUSINESS, name) for name in businesses),
        ]
    )


def name_of(kind: NameKind, name: str) -> str:
    return f"{kind}:{name}"


def put(request: PutCollector, before: Collector | None, by: str, at: datetime) -> Collector:
    return Collector(
        name=request.name,
        program=request.program,
        every_s=request.every_s,
        enabled=request.enabled,
        next_at=following(request.every_s, at),
        last=before.last if before else None,
        **revisions.marks(before.revision + 1 if before else 1, by, at),
    )


def following(every_s: int, at: datetime) -> datetime | None:
    return at + timedelta(seconds=every_s) if every_s else None


def begun(collection: str, collector: Collector, by: str, at: datetime) -> Collection:
    return Collection(
        id=collection,
        collector=collector.name,
        program=collector.program,
        state=CollectionState.STARTING,
        run="",
        by=by,
        created_at=at,
    )


def run_of(collection: Collection) -> StartRun:
    """The same for the same collection, so that starting it again finds what was started."""
    program = collection.program
    return StartRun(
        stored=program.script,
        targets=program.targets,
        name=f"collector {collection.collector}",
        account=program.account,
        timeout_s=program.timeout_s,
        idempotency_key=collection.id,
    )


def told_of(program: Program, host: str) -> str:
    """The host that lines from this host are about; empty: each names its own."""
    return "" if program.targets.local else host


def check_output(result: HostResult) -> None:
    """Raise Invalid if the output of the host is not all there, or too much."""
    if result.output_dropped:
        raise Invalid("virtual.incomplete", f"{result.output_dropped} bytes of the output were dropped on its way.")
    if result.output_bytes > MOST_OUTPUT_BYTES:
        raise Invalid(
            "virtual.too_large",
            f"The output has {result.output_bytes} bytes; {MOST_OUTPUT_BYTES} is the most. Split the collector.",
        )


@dataclass
class Tally:
    """What the hosts of a run came to."""

    hosts: int = 0
    silent: int = 0
    rows: int = 0
    refused: int = 0
    refusals: list[RefusedReport] = field(default_factory=list)
    doubtful: set[str] = field(default_factory=set)
    """Hosts whose reports could not be read as a whole, so that nobody can say what they miss."""

    def refuse(self, host: str, refused: Iterable[tuple[int, ServiceError]]) -> None:
        for line, error in refused:
            self.refused += 1
            if len(self.refusals) < KEPT_REFUSALS:
                told = RefusedReport(host=host, line=line, reason=error.reason, message=error.message[:400])
                self.refusals.append(told)

    def doubt(self, host: str, refused: list[tuple[int, ServiceError]]) -> None:
        self.refuse(host, refused)
        if refused:
            self.doubtful.add(host)


def ended(collection: Collection, tally: Tally, counts: dict[str, int], at: datetime) -> Collection:
    return msgspec.structs.replace(
        collection,
        state=CollectionState.ENDED,
        ended_at=at,
        hosts=tally.hosts,
        silent=tally.silent,
        rows=tally.rows,
        refused=tally.refused,
        refusals=tally.refusals,
        **counts,
    )


def failed(collection: Collection, error: ServiceError, at: datetime) -> Collection:
    return msgspec.structs.replace(
        collection, state=CollectionState.FAILED, ended_at=at, reason=error.reason, message=error.message
    )
