"""What must outlive the agent: which tasks were begun, cancelled or refused, and what of them is not stored yet.

A row is written before its task may start and stays, as a tombstone, for a week after its result is stored: a second
command for it is answered from here and never runs. How a task ended is not here but in its exit record, and its
output is in its file; a report is made from those as often as needed. Only reports of tasks that never ran, or whose
end nobody saw, are kept as they are.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from agent.folder import SECRET, sync_folder
from agent.worker import Database, Worker, connect
from contracts.agents import StoredItem, TaskState

TOMBSTONE_S = 7 * 86_400
"""Longer than any command is sent again."""

_TABLES = """
CREATE TABLE host (id TEXT NOT NULL) STRICT;
CREATE TABLE tasks (
    task TEXT PRIMARY KEY,
    at REAL NOT NULL,                       -- begun; once stored: when that was
    boot_id TEXT NOT NULL,
    stored INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,   -- before it began
    kill_grace_s REAL NOT NULL DEFAULT 0,
    sealed TEXT NOT NULL DEFAULT '',        -- masked parameters, as they came
    keep INTEGER,                           -- bytes of the output file that may stay; NULL: as many as the limit says
    dropped INTEGER NOT NULL DEFAULT 0,     -- bytes cut off the file
    chunks INTEGER NOT NULL DEFAULT 0,      -- how many were ever made
    chunked_to INTEGER NOT NULL DEFAULT 0,  -- where the last of them ends in the text
    report BLOB                             -- of a task without an exit record
) STRICT, WITHOUT ROWID;
CREATE TABLE chunks (
    task TEXT NOT NULL, n INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    PRIMARY KEY (task, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_stored ON tasks (at) WHERE stored;
"""
_COLUMNS = "task, at, boot_id, stored, cancelled, kill_grace_s, sealed, keep, dropped, chunks, chunked_to, report"


class WrongJournal(Exception):
    """The journal is another host's, or no journal; the message is the line that says so."""


class Span(msgspec.Struct, frozen=True):
    """Where a chunk lies in the text, in bytes of UTF-8."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        return self.offset + self.length


class Row(msgspec.Struct, kw_only=True):
    task: str
    at: float
    boot_id: str
    stored: bool = False
    cancelled: bool = False
    kill_grace_s: float = 0.0
    sealed: str = ""
    keep: int | None = None
    dropped: int = 0
    chunks: int = 0
    chunked_to: int = 0
    report: bytes | None = None
    unstored: dict[int, Span] = msgspec.field(default_factory=dict)
    """Chunks that were made and are not stored yet."""

    def settled(self) -> TaskState | None:
        """The state of a task that nothing more will be done for; None if it is still open."""
        if not self.stored:
            return None
        return TaskState.CANCELLED if self.cancelled else TaskState.STORED


class Journal:
    def __init__(self, path: Path, worker: Worker) -> None:
        self.database = Database(path)
        self._worker = worker

    async def open(self, host: str) -> dict[str, Row]:
        """The tasks that are not stored. Raises WrongJournal."""

        def read(connection: sqlite3.Connection) -> dict[str, Row]:
            if [host] != [id_ for (id_,) in connection.execute("SELECT id FROM host")]:
                raise WrongJournal("The journal is not this host's. Empty the folder and enrol anew.")
            rows = {row.task: row for row in _rows(connection, "NOT stored", ())}
            for task, n, offset, length in connection.execute("SELECT task, n, offset, length FROM chunks ORDER BY n"):
                if task in rows:
                    rows[task].unstored[n] = Span(offset, length)
            return rows

        try:
            return await self._worker.write(self.database, read)
        except sqlite3.Error as error:
            raise WrongJournal(f"The journal cannot be used: {error}. Empty the folder and enrol anew.") from None

    async def close(self) -> None:
        await self._worker.run(self.database.close)

    async def begin(self, row: Row, prepare: Callable[[], Exception | None]) -> Row | Exception | None:
        """Note a task before it starts. Returns None when that is done and `prepare` has succeeded; else the row that
        was there before, or what `prepare` returned, and nothing is noted. Raises sqlite3.Error."""

        def write(connection: sqlite3.Connection) -> Row | Exception | None:
            known = _rows(connection, "task = ?", (row.task,))
            if known:
                return known[0]
            problem = prepare()
            if problem is None:
                _insert(connection, row)
            return problem

        return await self._worker.write(self.database, write)

    async def close_unbegun(self, row: Row) -> Row | None:
        """Note a task that is never to start, with its report. Returns the row that was there before, if any, which
        then stays. Raises sqlite3.Error."""

        def write(connection: sqlite3.Connection) -> Row | None:
            known = _rows(connection, "task = ?", (row.task,))
            if not known:
                _insert(connection, row)
            return known[0] if known else None

        return await self._worker.write(self.database, write)

    async def keep_report(self, task: str, report: bytes, *, cancelled: bool = False) -> None:
        """The report of a task that has begun here and has no exit record, or never will."""
        await self._change("UPDATE tasks SET report = ?, cancelled = ? WHERE task = ?", report, cancelled, task)

    async def chunk(self, task: str, n: int, span: Span) -> None:
        """Note a chunk before it is sent, so that it is the same chunk however often it is sent."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO chunks VALUES (?, ?, ?, ?)", (task, n, span.offset, span.length))
            connection.execute("UPDATE tasks SET chunks = ?, chunked_to = ? WHERE task = ?", (n, span.end, task))

        await self._worker.write(self.database, write)

    async def cut(self, task: str, keep: int | None, dropped: int) -> None:
        """Note how much of the output is gone."""
        await self._change("UPDATE tasks SET keep = ?, dropped = ? WHERE task = ?", keep, dropped, task)

    async def stored(
        self,
        chunks: Iterable[StoredItem],
        tasks: Iterable[str],
        now: float,
        after: Callable[[], None] | None = None,
    ) -> None:
        """These are in MongoDB: forget the chunks, and turn the tasks into tombstones. Then, in the worker's thread,
        `after`."""
        items, ended = [(item.task, item.n) for item in chunks], [(now, task) for task in tasks]

        def write(connection: sqlite3.Connection) -> None:
            if items:
                connection.executemany("DELETE FROM chunks WHERE task = ? AND n = ?", items)
            if ended:
                connection.executemany("UPDATE tasks SET stored=1, at=?, sealed='', report=NULL WHERE task=?", ended)

        await self._worker.write(self.database, write, after)

    async def prune(self, now: float) -> None:
        """Forget tombstones that are old enough."""
        await self._change("DELETE FROM tasks WHERE stored AND at < ?", now - TOMBSTONE_S)

    async def _change(self, statement: str, *values: object) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.execute(statement, values)

        await self._worker.write(self.database, write)


def create(path: Path, host: str) -> None:
    """Make the journal of a new host. Blocking."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, SECRET))
    with contextlib.closing(connect(path)) as connection:
        connection.executescript(_TABLES)
        connection.execute("INSERT INTO host VALUES (?)", (host,))
    sync_folder(path.parent)


def _rows(connection: sqlite3.Connection, where: str, values: tuple[object, ...]) -> list[Row]:
    found = connection.execute(f"SELECT {_COLUMNS} FROM tasks WHERE {where}", values)  # noqa: S608  our own words
    names = _COLUMNS.split(", ")
    return [msgspec.convert(dict(zip(names, row, strict=True)), Row, strict=False) for row in found]


def _insert(connection: sqlite3.Connection, row: Row) -> None:
    names = _COLUMNS.split(", ")
    marks = ", ".join("?" * len(names))
    statement = f"INSERT INTO tasks ({_COLUMNS}) VALUES ({marks})"  # noqa: S608
    connection.execute(statement, tuple(getattr(row, name) for name in names))
