"""Reading what lies in the depot."""

import asyncio
from bisect import bisect_right
from pathlib import Path

from contracts.depot import Entries, Entry, ListEntries, ReadContent
from contracts.errors import Invalid, NotFound
from contracts.files import FileKind, FoundVersion
from services.gateway.depot.looking import read_entries
from services.gateway.depot.place import Place


class Contents:
    def __init__(self, place: Place) -> None:
        self._place = place

    async def entries(self, asked: ListEntries, found: FoundVersion) -> Entries:
        """A page of what is in a folder or an archive, in the order of the paths. Raises Invalid for a plain file."""
        if found.kind is FileKind.FILE:
            raise Invalid("file.no_entries", f"{asked.name} is a plain file; folders and archives have entries.")
        everything = await asyncio.to_thread(self._read, found)
        start = bisect_right(everything, asked.after, key=lambda entry: entry.path) if asked.after else 0
        page = everything[start : start + asked.limit]
        return Entries(entries=page, next=page[-1].path if start + asked.limit < len(everything) else "")

    async def path(self, asked: ReadContent, found: FoundVersion) -> Path:
        """The file that holds what is asked for. Raises Invalid or NotFound."""
        path = self._place.blob(found.version.sha256)
        if found.kind is FileKind.FOLDER:
            if not asked.entry:
                raise Invalid("file.is_folder", f"{asked.name} is a folder: name one of its files as `entry`.")
            path = self._place.member(await asyncio.to_thread(self._of_entry, asked, found))
        elif asked.entry:
            raise Invalid("file.no_entries", f"{asked.name} is no folder, so no entry of it can be read.")
        if not await asyncio.to_thread(path.is_file):
            raise NotFound(
                "file.content_missing", f"The depot's folder has no {self._place.path_of(path)}. Is it the right one?"
            )
        return path

    def _of_entry(self, asked: ReadContent, found: FoundVersion) -> str:
        for entry in self._read(found):
            if entry.path == asked.entry and entry.type == "file":
                return entry.sha256
        raise NotFound("file.entry_unknown", f"{asked.name} has no file {asked.entry[:200]} in it.")

    def _read(self, found: FoundVersion) -> list[Entry]:
        at = self._place.folder if found.kind is FileKind.FOLDER else self._place.listing
        return read_entries(at(found.version.sha256))
