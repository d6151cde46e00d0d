"""MongoDB as every service uses it: a replica set, majority writes, journalled. The only place that builds a client.

motor was named by the user and is past its end of life; stores and this file are all that a change to pymongo's own
asyncio client would touch.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog
from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorClientSession,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
)
from pymongo.errors import ConnectionFailure, DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from contracts.errors import Unavailable
from runtime.bus import AgentEndpoint, Endpoint
from runtime.settings import BadSettings

Document = dict[str, Any]
Database = AsyncIOMotorDatabase[Document]
Collection = AsyncIOMotorCollection[Document]
Session = AsyncIOMotorClientSession
R = TypeVar("R")

__all__ = [
    "Collection",
    "ConnectionFailure",
    "Database",
    "Document",
    "DuplicateKeyError",
    "Pulse",
    "PyMongoError",
    "Session",
    "connect",
    "now",
    "together",
    "while_it_answers",
]

PULSE_S = 1.5
FRESH_S = 1.0

log = structlog.get_logger()


async def connect(url: str, database: str) -> Database:
    """Wait until the replica set answers, then give its database; `database.client.close()` hangs up.

    Raises BadSettings for a standalone server: it may lose writes that it acknowledged.
    """
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(url, serverSelectionTimeoutMS=3000, tz_aware=True)
    try:
        while not await _is_primary(client, url):  # noqa: ASYNC110  MongoDB has no event to wait for
            await asyncio.sleep(1)
    except BaseException:
        client.close()
        raise
    return client.get_database(
        database,
        write_concern=WriteConcern(w="majority", j=True, wtimeout=10_000),
        read_concern=ReadConcern("majority"),
    )


async def _is_primary(client: AsyncIOMotorClient[Document], url: str) -> bool:
    try:
        answer = await client.admin.command("hello")
    except ConnectionFailure as error:
        log.warning("mongo.waiting", error=type(error).__name__)
        return False
    if "setName" in answer and answer.get("isWritablePrimary"):
        return True
    if "setName" not in answer and "isreplicaset" not in answer:
        where = _without_password(url)
        raise BadSettings(f"MongoDB at {where} is standalone; Drover needs a replica set (one node will do)")
    log.warning("mongo.waiting", error="no primary yet")
    return False


def now() -> datetime:
    """MongoDB keeps milliseconds, so nothing finer is said of what it will keep."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class Pulse:
    """Whether the database answers just now: known within PULSE_S, and asked at most once in FRESH_S."""

    def __init__(self, database: Database) -> None:
        self._client = database.client
        self._asked_at = 0.0
        self._asking: asyncio.Task[bool] | None = None

    async def beats(self) -> bool:
        now = asyncio.get_running_loop().time()
        # While one question is open no other is asked: each occupies a thread, and a database that hangs never answers.
        if self._asking is None or (self._asking.done() and now - self._asked_at >= FRESH_S):
            self._asking, self._asked_at = asyncio.create_task(self._ping()), now
        await asyncio.wait({self._asking}, timeout=PULSE_S)
        return self._asking.done() and self._asking.result()

    async def _ping(self) -> bool:
        try:
            await self._client.admin.command("ping")
        except PyMongoError:
            return False
        return True


async def together(database: Database, work: Callable[[Session], Coroutine[Any, Any, R]]) -> R:
    """Run `work` in one transaction: its writes count together or not at all.

    It runs again if another transaction was in its way, so it must have no effect but through its session.
    """
    async with await database.client.start_session() as session:
        done: Any = await session.with_transaction(
            work, read_concern=ReadConcern("snapshot"), write_concern=database.write_concern
        )
        result: R = done
        return result


def while_it_answers(endpoints: Iterable[Endpoint | AgentEndpoint]) -> list[Endpoint | AgentEndpoint]:
    """The same endpoints, which answer Unavailable while MongoDB does not: the caller may try again, and no bug of ours
    is in it."""
    return [replace(endpoint, handle=_unavailable_without_it(endpoint.handle)) for endpoint in endpoints]


def _unavailable_without_it(handle: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    async def handled(request: Any, asking: Any) -> Any:
        try:
            return await handle(request, asking)
        except ConnectionFailure as error:
            log.warning("mongo.does_not_answer", error=type(error).__name__)
            raise Unavailable("storage.away", "The database does not answer just now. Try again.") from error

    return handled


def _without_password(url: str) -> str:
    return url.rsplit("@", 1)[-1].removeprefix("mongodb://").split("/")[0]
