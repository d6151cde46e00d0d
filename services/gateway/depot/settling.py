"""The moment at which content and its record come together, or go together: one at a time.

Else somebody could record content that is just being removed because nobody had it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.depot import Entry
from contracts.files import File, FileKind, Forgotten, RecordFile
from services.gateway.depot.looking import read_entries
from services.gateway.depot.place import Place, full_disk_is_said

Record = Callable[[RecordFile], Awaitable[File]]


@dataclass(frozen=True)
class Staged:
    """Finished content beside the depot, and what will be said of it."""

    moves: Sequence[tuple[Path, Path]]
    """From where to where."""
    record: RecordFile


class Settling:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = asyncio.Lock()

    async def keep(self, staged: Staged, record: Record) -> File:
        """Bytes first: a record always has its content. Raises what `record` raises; the bytes then stay unnamed."""
        async with self._lock:
            await asyncio.to_thread(self._move, staged)
            return await record(staged.record)

    async def remove(self, kind: FileKind, forget: Callable[[], Awaitable[Forgotten]]) -> None:
        """The record first: content without one is only disk."""
        async with self._lock:
            gone = await forget()
            for version in gone.freed:
                await asyncio.to_thread(self._remove, kind, version.sha256)

    def _move(self, staged: Staged) -> None:
        with full_disk_is_said():
            for source, target in staged.moves:
                self._place.keep(source, target)

    def _remove(self, kind: FileKind, sha256: str) -> None:
        if kind is FileKind.FOLDER:
            self._remove_folder(sha256)
        else:
            self._place.blob(sha256).unlink(missing_ok=True)
            self._place.listing(sha256).unlink(missing_ok=True)

    def _remove_folder(self, sha256: str) -> None:
        """With the files that no other folder has. All other lists are read for that: folders are removed rarely."""
        listing = self._place.folder(sha256)
        if not listing.exists():
            return
        unneeded = _members(read_entries(listing))
        listing.unlink()
        for other in self._place.folders():
            unneeded -= _members(read_entries(other))
        for member in unneeded:
            self._place.member(member).unlink(missing_ok=True)


def _members(entries: Sequence[Entry]) -> set[str]:
    return {entry.sha256 for entry in entries if entry.type == "file"}
