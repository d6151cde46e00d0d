"""Runs and waves in MongoDB. Speaks records outwards and documents inwards.

A move of a run compares its revision, so that of two instances only one succeeds and a stale owner changes nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from pymongo import ReturnDocument

from contracts.errors import Conflict
from contracts.people import Principal
from contracts.runs import Action, Counts, RunSummary
from contracts.states import LIVE_RUN, RunState
from runtime.mongo import Database, Document, DuplicateKeyError
from services.jobs.runs.model import RunRecord, Wave, document
from services.jobs.runs.visibility import Whose, unknown
from services.jobs.transaction import Session, together

_LIVE = sorted(LIVE_RUN)
_KEEP = (datetime, bytes)
_CLOSED = sorted(set(RunState) - LIVE_RUN)
_SUMMARY = dict.fromkeys(("name", "state", "by", "created_at", "ended_at", "hosts", "counts", "businesses"), 1)


class KnownAlready(Exception):
    """A run with this idempotency key exists."""


class Held(msgspec.Struct, frozen=True):
    """A live run in brief: enough to see whether its holder is behind."""

    id: str
    owner: str
    revision: int


class Brief(NamedTuple):
    id: str
    owner: str
    state: RunState


class Reported(NamedTuple):
    closed: list[str]
    with_verdicts: set[str]
    """Where a report may be a late one."""


class RunStore:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._runs = database["runs"]
        self._waves = database["waves"]

    async def prepare(self) -> None:
        await self._runs.create_index([("state", 1), ("_id", -1)])
        await self._runs.create_index([("by.name", 1), ("_id", -1)])
        await self._runs.create_index(
            [("idempotency", 1)], unique=True, partialFilterExpression={"idempotency": {"$gt": ""}}
        )
        await self._runs.create_index([("recount", 1)], partialFilterExpression={"recount": {"$gt": 0}})
        await self._waves.create_index([("run", 1)])

    async def add(self, record: RunRecord, wave: Wave) -> None:
        """Both or neither, journalled by a majority. Raises KnownAlready."""

        async def write(session: Session) -> None:
            await self._runs.insert_one(document(record), session=session)
            await self._waves.insert_one(document(wave), session=session)

        try:
            await together(self._database, write)
        except DuplicateKeyError as error:
            raise KnownAlready from error

    async def add_try(self, record: RunRecord, wave: Wave, changes: Document, action: Action) -> RunRecord:
        """Move the run to another try and write its wave, both or neither. Raises Conflict."""

        async def write(session: Session) -> RunRecord:
            moved = await self._change(record, changes, action, session)
            await self._waves.insert_one(document(wave), session=session)
            return moved

        return await together(self._database, write)

    async def move(
        self, record: RunRecord, state: RunState, *, action: Action | None = None, **changes: Any
    ) -> RunRecord:
        """Move the run if nobody else changed it since it was read; raises Conflict."""
        return await self._change(record, {"state": record.to(state), **changes}, action)

    async def take(self, held: Held, owner: str) -> bool:
        """Become the owner of a run whose owner is gone; False if another was faster."""
        result = await self._runs.update_one(
            {"_id": held.id, "owner": held.owner, "revision": held.revision, "state": {"$in": _LIVE}},
            {"$set": {"owner": owner}, "$inc": {"revision": 1}},
        )
        return result.modified_count == 1

    async def note_counts(self, run: str, owner: str, counts: Counts) -> None:
        """Keep the counts of a live run for lists; no move, so no revision."""
        await self._runs.update_one(
            {"_id": run, "owner": owner, "state": {"$in": _LIVE}}, {"$set": {"counts": document(counts)}}
        )

    async def reported(self, runs: Sequence[str]) -> "Reported":
        """What new reports mean for these runs. The closed ones are marked: their counts may be behind now."""
        found = self._runs.find({"_id": {"$in": list(runs)}}, {"state": 1, "verdicts": 1})
        states = [each async for each in found]
        closed = [each["_id"] for each in states if each["state"] in _CLOSED]
        if closed:
            await self._runs.update_many({"_id": {"$in": closed}}, {"$inc": {"recount": 1}})
        return Reported(closed, {each["_id"] for each in states if each["verdicts"]})

    async def to_recount(self) -> list[str]:
        found = self._runs.find({"recount": {"$gt": 0}, "state": {"$in": _CLOSED}}, {"_id": 1}).limit(100)
        return [each["_id"] async for each in found]

    async def recounted(self, record: RunRecord, counts: Counts) -> RunRecord | None:
        """Correct the counts of a closed run; None if it moved, or more came, meanwhile."""
        revision = record.revision + (counts != record.counts)
        found = await self._runs.find_one_and_update(
            {"_id": record.id, "revision": record.revision, "recount": record.recount},
            {"$set": {"recount": 0, "counts": document(counts), "revision": revision}},
            return_document=ReturnDocument.AFTER,
        )
        return None if found is None else _record(found)

    async def _change(
        self,
        record: RunRecord,
        changes: Document,
        action: Action | None = None,
        session: Session | None = None,
    ) -> RunRecord:
        plain = {name: msgspec.to_builtins(value, builtin_types=_KEEP) for name, value in changes.items()}
        update: Document = {"$set": plain, "$inc": {"revision": 1}}
        if action is not None:
            update["$push"] = {"actions": document(action)}
        found = await self._runs.find_one_and_update(
            {"_id": record.id, "revision": record.revision},
            update,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        if found is None:
            raise Conflict("run.changed_meanwhile", "Somebody else changed the run meanwhile. Look at it again.")
        return _record(found)

    async def get(self, run: str) -> RunRecord:
        """Raises NotFound."""
        found = await self._runs.find_one({"_id": run})
        if found is None:
            raise unknown(run)
        return _record(found)

    async def whose(self, run: str) -> Whose:
        """Raises NotFound."""
        found = await self._runs.find_one({"_id": run}, {"by": 1, "businesses": 1})
        if found is None:
            raise unknown(run)
        return Whose(msgspec.convert(found["by"], Principal), found.get("businesses"))

    async def by_idempotency(self, key: str) -> RunRecord | None:
        found = await self._runs.find_one({"idempotency": key})
        return None if found is None else _record(found)

    async def brief(self, run: str) -> "Brief":
        """Raises NotFound."""
        found = await self._runs.find_one({"_id": run}, {"state": 1, "owner": 1})
        if found is None:
            raise unknown(run)
        return Brief(run, found["owner"], RunState(found["state"]))

    async def page(self, states: Iterable[RunState], by: str, after: str, limit: int) -> list[RunSummary]:
        """Newest first, below `after`."""
        query: Document = {}
        if states:
            query["state"] = {"$in": list(states)}
        if by:
            query["by.name"] = by
        if after:
            query["_id"] = {"$lt": after}
        found = self._runs.find(query, _SUMMARY).sort("_id", -1).limit(limit)
        return [msgspec.convert({**each, "id": each["_id"]}, RunSummary) async for each in found]

    async def in_state(self, state: RunState, runs: Sequence[str]) -> list[str]:
        """Of these runs, those in that state."""
        found = self._runs.find({"_id": {"$in": list(runs)}, "state": state}, {"_id": 1})
        return [each["_id"] async for each in found]

    async def live(self) -> list[Held]:
        found = self._runs.find({"state": {"$in": _LIVE}}, {"owner": 1, "revision": 1})
        return [Held(each["_id"], each["owner"], each["revision"]) async for each in found]

    async def tasks(self, run: str) -> list[str]:
        return [each["_id"] async for each in self._waves.find({"run": run}, {"_id": 1})]

    async def waves(self, run: str) -> list[Wave]:
        return [_wave(each) async for each in self._waves.find({"run": run})]

    async def waves_by_task(self, tasks: Sequence[str]) -> list[Wave]:
        return [_wave(each) async for each in self._waves.find({"_id": {"$in": list(tasks)}})]


def _record(found: Document) -> RunRecord:
    return msgspec.convert(found, RunRecord)


def _wave(found: Document) -> Wave:
    return msgspec.convert(found, Wave)
