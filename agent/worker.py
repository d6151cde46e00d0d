"""One thread for all disk work of the agents in a process.

Journal changes that wait at the same time go into one commit per database, so that a burst costs one sync. Work is
done in the order it came; each piece is short (a commit, some hundred KiB of a file).
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")

MOST_AT_ONCE = 64
"""Pieces of work after which results are handed over, even while more are waiting."""


class Database:
    """One SQLite file. Touched by the worker's thread only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def connection(self) -> sqlite3.Connection:
        """Raises sqlite3.Error."""
        if self._connection is None:
            self._connection = connect(self._path)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=5)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -128")
    return connection


class _Work(Generic[T]):
    __slots__ = ("after", "database", "do", "error", "future", "result")

    def __init__(
        self,
        do: Callable[..., T],
        future: "asyncio.Future[T]",
        database: Database | None,
        after: Callable[[], None] | None,
    ) -> None:
        self.do = do
        self.future = future
        self.database = database
        self.after = after
        self.result: T | None = None
        self.error: BaseException | None = None

    def attempt(self, *arguments: Any) -> None:
        try:
            self.result = self.do(*arguments)
        except Exception as error:
            self.error = error

    def follow_up(self) -> None:
        """What is committed stays so, and is no fault of the others in the batch."""
        if self.after is not None:
            try:
                self.after()
            except Exception as error:
                self.error = error

    def deliver(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]


class Worker:
    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[_Work[Any] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, name="disk", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Finish what waits."""
        if self._thread is not None:
            self._waiting.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    async def run(self, do: Callable[[], T]) -> T:
        """Call `do` in the thread."""
        return await self._submit(do, None, None)

    async def write(
        self, database: Database, do: Callable[[sqlite3.Connection], T], after: Callable[[], None] | None = None
    ) -> T:
        """Call `do` in a transaction; when this returns, it is committed and synced, and then `after` was called.
        Raises sqlite3.Error, upon which nothing of it happened."""
        return await self._submit(do, database, after)

    async def _submit(self, do: Callable[..., T], database: Database | None, after: Callable[[], None] | None) -> T:
        if self._thread is None or self._loop is None:
            raise RuntimeError("the worker is not running")
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting.put(_Work(do, future, database, after))
        return await future

    def _serve(self) -> None:
        going = True
        while going:
            batch: list[_Work[Any]] = []
            going = _take(self._waiting, batch)
            by_database: dict[Database, list[_Work[Any]]] = {}
            for work in batch:
                if work.database is None:
                    work.attempt()
                else:
                    by_database.setdefault(work.database, []).append(work)
            for database, works in by_database.items():
                _commit(database, works)
            if batch and self._loop is not None:
                with contextlib.suppress(RuntimeError):  # the loop has ended; nobody waits any more
                    self._loop.call_soon_threadsafe(_deliver, batch)


def _take(waiting: "queue.SimpleQueue[_Work[Any] | None]", batch: list[_Work[Any]]) -> bool:
    """Wait for work and take all that is there. False: that was all there will ever be."""
    work = waiting.get()
    while work is not None:
        batch.append(work)
        if len(batch) == MOST_AT_ONCE or waiting.empty():
            return True
        work = waiting.get()
    return False


def _commit(database: Database, works: list[_Work[Any]]) -> None:
    """All or none: one that fails takes the others of its database with it, and they are told the same."""
    try:
        connection = database.connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            for work in works:
                work.result = work.do(connection)
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        for work in works:
            work.follow_up()
    except Exception as error:
        for work in works:
            work.error = error


def _deliver(batch: list[_Work[Any]]) -> None:
    for work in batch:
        work.deliver()
