"""Outcomes and what could not be read, in MongoDB. Facts are inserted once and never changed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import structlog

from contracts.runs import HostOutcome
from contracts.states import LIVE_RUN, Outcome
from runtime.mongo import Collection, Database, Document
from services.jobs.once import Inserted, insert_once
from services.jobs.results import documents
from services.jobs.results.documents import REPORT, VERDICT, outcome_id
from services.jobs.runs.model import Fact, RunRecord
from services.jobs.transaction import Session, together

log = structlog.get_logger()

KEPT_QUARANTINE_S = 7 * 86_400
_FACT = {"_id": 0, "task": 1, "host": 1, "kind": 1, "outcome": 1}


_SHOWN = dict.fromkeys(
    (
        *("task", "host", "kind", "outcome", "reason", "message", "exit_code", "signal", "started_at", "ended_at"),
        *("output_bytes", "output_dropped", "output_hash", "chunks", "tag", "result"),
    ),
    1,
)


class NotOwner(Exception):
    """The run is another instance's now, or closed."""


class Verdict(NamedTuple):
    outcome: Outcome
    reason: str
    message: str

    def told(self, task: str, host: str, hostname: str) -> HostOutcome:
        return HostOutcome(
            host=host,
            hostname=hostname,
            task=task,
            outcome=self.outcome,
            reason=self.reason,
            message=self.message,
            verdict=True,
        )


class OutcomeStore:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._runs = database["runs"]
        self._outcomes: Collection = database["outcomes"]
        self._quarantine = database["quarantine"]

    async def prepare(self) -> None:
        await self._outcomes.create_index([("task", 1), ("outcome", 1), ("host", 1), ("kind", 1)])
        await self._quarantine.create_index([("at", 1)], expireAfterSeconds=KEPT_QUARANTINE_S)

    async def insert(self, found: Sequence[Document]) -> Inserted:
        """Reports; see insert_once."""
        return await insert_once(self._outcomes, found)

    async def quarantine(self, found: Sequence[Document]) -> None:
        if found:
            await self._quarantine.insert_many(found, ordered=False)

    async def conclude(
        self, record: RunRecord, task: str, verdicts: Mapping[str, Verdict], now: datetime
    ) -> list[Fact]:
        """Give verdicts to hosts that have no outcome yet, if the run is still its owner's.

        One transaction with the comparison, so that a stale owner concludes nothing. Returns what these hosts have
        now. Raises NotOwner.
        """
        mine = {"_id": record.id, "owner": record.owner, "state": {"$in": sorted(LIVE_RUN)}}

        async def write(session: Session) -> list[Fact]:
            ids = [outcome_id(task, host, kind) for host in verdicts for kind in (REPORT, VERDICT)]
            there = [_fact(each) async for each in self._outcomes.find({"_id": {"$in": ids}}, _FACT, session=session)]
            had = {fact.host for fact in there}
            new = {host: said for host, said in verdicts.items() if host not in had}
            result = await self._runs.update_one(mine, {"$inc": {"verdicts": len(new)}}, session=session)
            if result.matched_count == 0:
                raise NotOwner
            if new:
                found = [documents.verdict(task, host, said, now) for host, said in new.items()]
                await self._outcomes.insert_many(found, session=session)
            return there + [Fact(task, host, False, said.outcome) for host, said in new.items()]

        if not verdicts:
            return []
        return await together(self._database, write)

    async def count(self, task: str) -> int:
        """How many outcome documents the task has."""
        return await self._outcomes.count_documents({"task": task})

    async def counts(self, tasks: Sequence[str]) -> dict[str, int]:
        """How many each of them has, read from the index alone."""
        pipeline: list[Document] = [
            {"$match": {"task": {"$in": list(tasks)}}},
            {"$group": {"_id": "$task", "n": {"$sum": 1}}},
        ]
        return {each["_id"]: each["n"] async for each in self._outcomes.aggregate(pipeline)}

    async def facts(self, tasks: Sequence[str]) -> list[Fact]:
        """Read from the index alone."""
        return [_fact(each) async for each in self._outcomes.find({"task": {"$in": list(tasks)}}, _FACT)]

    async def verdicts(self, reports: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Outcome]:
        """The verdicts that these (task, host) had before."""
        ids = [outcome_id(task, host, VERDICT) for task, host in reports]
        found = self._outcomes.find({"_id": {"$in": ids}}, _FACT)
        return {(each["task"], each["host"]): Outcome(each["outcome"]) async for each in found}

    async def of_hosts(self, tasks: Mapping[str, str], head: int) -> dict[str, tuple[Document, bool]]:
        """Host → its outcome document and whether it came late. Takes host → task; a report wins over a verdict.

        `head`: characters of the head that are wanted.
        """
        ids = [outcome_id(task, host, kind) for host, task in tasks.items() for kind in (REPORT, VERDICT)]
        projection = {**_SHOWN, **({"head": {"$substrCP": ["$head", 0, head]}} if head else {})}
        found: dict[str, dict[str, Document]] = {}
        async for each in self._outcomes.find({"_id": {"$in": ids}}, projection):
            found.setdefault(each["host"], {})[each["kind"]] = each
        return {host: _winner(kinds) for host, kinds in found.items()}


def _winner(kinds: Mapping[str, Document]) -> tuple[Document, bool]:
    if REPORT not in kinds:
        return kinds[VERDICT], False
    report, verdict = kinds[REPORT], kinds.get(VERDICT)
    return report, verdict is not None and verdict["outcome"] != report["outcome"]


def _fact(found: Document) -> Fact:
    return Fact(found["task"], found["host"], found["kind"] == REPORT, Outcome(found["outcome"]))
