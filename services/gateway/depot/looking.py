"""Calls the child process that looks into archives, and keeps what it finds. See `archives`."""

import asyncio
import sys
import tempfile
from pathlib import Path

import msgspec

from contracts.depot import Entry
from contracts.errors import Invalid
from services.gateway.depot.archives import FULL, REFUSED
from services.gateway.depot.place import Place, no_space

AT_ONCE = 2
LONGEST_S = 1800
MODULE = "services.gateway.depot.archives"
PROJECT = Path(__file__).parents[3]
"""Where the rooms are, installed or not."""


class Looking:
    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def into(self, archive: Path, out: Path) -> list[Entry]:
        """What is in the archive, and the same as JSON in `out`. Raises Invalid for one that is refused."""
        await self._child("list", archive, out)
        return await asyncio.to_thread(read_entries, out)

    async def unpack(self, tar: Path, out: Path, folder: Path) -> list[Entry]:
        """The same for the tar file of a folder, whose files become `folder`/<sha256>."""
        await asyncio.to_thread(folder.mkdir, mode=0o700)
        await self._child("unpack", tar, out, folder)
        return await asyncio.to_thread(read_entries, out)

    async def _child(self, verb: str, *paths: Path) -> None:
        words = [sys.executable, "-m", MODULE, verb, *map(str, paths)]
        async with self._slots:
            process = await asyncio.create_subprocess_exec(
                *words, cwd=PROJECT, env={}, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
            )
            try:
                async with asyncio.timeout(LONGEST_S):
                    said, _ = await process.communicate()
            except TimeoutError:
                said = b"It takes too long to read."
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if process.returncode == FULL:
            raise no_space()
        if process.returncode != 0:
            why = said.decode(errors="replace") if process.returncode == REFUSED or said else "It cannot be read."
            raise Invalid("file.archive_refused", f"The archive is refused. {why}")


def read_entries(path: Path) -> list[Entry]:
    return msgspec.json.decode(path.read_bytes(), type=list[Entry])


def temporary(place: Place) -> "tempfile.TemporaryDirectory[str]":
    """On the depot's own disk, so that what is finished can be renamed."""
    return tempfile.TemporaryDirectory(dir=place.uploads, prefix=".work-")
