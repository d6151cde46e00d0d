"""From bytes beside the depot to what is to be kept and recorded, whatever brought them. Blocking parts say so."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from contracts.depot import Entry
from contracts.files import FileKind, RecordFile
from services.gateway.depot.looking import Looking
from services.gateway.depot.place import Digest, Place, digest
from services.gateway.depot.settling import Staged


class Staging:
    """Of one thing that comes in."""

    def __init__(
        self, place: Place, *, name: str, source: Literal["upload", "path"], origin: str = "", note: str = ""
    ) -> None:
        self._place = place
        self._name, self._source, self._origin, self._note = name, source, origin, note

    def file(self, content: Path, known: Digest) -> Staged:
        blob = self._place.blob(known.sha256)
        return Staged([(content, blob)], self._record(FileKind.FILE, known, blob))

    async def archive(self, content: Path, known: Digest, looking: Looking, listing: Path) -> Staged:
        """Raises Invalid for an archive that is refused."""
        entries = await looking.into(content, listing)
        blob = self._place.blob(known.sha256)
        moves = [(listing, self._place.listing(known.sha256)), (content, blob)]
        return Staged(moves, self._record(FileKind.ARCHIVE, known, blob, len(entries)))

    async def folder(self, files: Path, listing: Path, entries: Sequence[Entry]) -> Staged:
        """`files` holds the content of each file under its sha256, `listing` the JSON of the entries."""
        known = await asyncio.to_thread(digest, listing)
        at = self._place.folder(known.sha256)
        members = {entry.sha256 for entry in entries if entry.type == "file"}
        moves = [(files / sha256, self._place.member(sha256)) for sha256 in members]
        total = Digest(known.sha256, known.md5, sum(entry.size for entry in entries))
        return Staged([*moves, (listing, at)], self._record(FileKind.FOLDER, total, at, len(entries)))

    def _record(self, kind: FileKind, known: Digest, at: Path, entries: int = 0) -> RecordFile:
        return RecordFile(
            name=self._name,
            kind=kind,
            size=known.size,
            sha256=known.sha256,
            md5=known.md5,
            entries=entries,
            path=self._place.path_of(at),
            source=self._source,
            origin=self._origin,
            note=self._note,
        )
