"""Taking files of the management host into the depot: only what lies below a listed root, and by no detour."""

import asyncio
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from contracts.depot import Entry, RegisterFile
from contracts.errors import Invalid
from contracts.files import File, FileKind
from services.gateway.depot import looking
from services.gateway.depot.archives import MOST_ENTRIES, Unsafe, inside, listed, safe_path, taking
from services.gateway.depot.looking import Looking
from services.gateway.depot.place import Digest, Place, digest, full_disk_is_said
from services.gateway.depot.settling import Record, Settling, Staged
from services.gateway.depot.staging import Staging


class Registering:
    def __init__(
        self, place: Place, looking_: Looking, settling: Settling, roots: Sequence[Path], *, most_bytes: int
    ) -> None:
        self._place = place
        self._looking = looking_
        self._settling = settling
        self._roots = [root.resolve() for root in roots]
        self._most_bytes = most_bytes

    async def take(self, asked: RegisterFile, record: Record) -> File:
        """Copy the content in and have it recorded. Raises Invalid for a path that is not to be taken."""
        source = await asyncio.to_thread(self._source, asked)
        with looking.temporary(self._place) as made:
            staged = await self._staged(asked, source, Path(made))
            return await self._settling.keep(staged, record)

    async def _staged(self, asked: RegisterFile, source: Path, folder: Path) -> Staged:
        staging = Staging(self._place, name=asked.name, source="path", origin=asked.path, note=asked.note)
        content, listing, files = folder / "content", folder / "entries", folder / "files"
        if asked.kind is FileKind.FOLDER:
            return await staging.folder(files, listing, await asyncio.to_thread(self._folder, source, files, listing))
        known = await asyncio.to_thread(self._copied, source, content)
        if asked.kind is FileKind.ARCHIVE:
            return await staging.archive(content, known, self._looking, listing)
        return staging.file(content, known)

    def _source(self, asked: RegisterFile) -> Path:
        path = Path(asked.path)
        if not self._roots:
            raise Invalid("file.path_refused", "No roots are listed here; set GATEWAY_DEPOT_ROOTS to register paths.")
        if not path.is_absolute() or ".." in path.parts:
            raise Invalid("file.path_refused", "Give an absolute path without `..`.")
        try:
            found = path.resolve(strict=True)
            kind = stat.S_IFMT(found.stat().st_mode)
        except (OSError, RuntimeError) as error:
            why = getattr(error, "strerror", None) or "its links run in a circle"
            raise Invalid("file.path_refused", f"{asked.path} cannot be read: {why}.") from None
        if not any(found.is_relative_to(root) for root in self._roots):
            roots = ", ".join(map(str, self._roots))
            raise Invalid("file.path_refused", f"{asked.path} does not lie below a listed root ({roots}).")
        if kind != (stat.S_IFDIR if asked.kind is FileKind.FOLDER else stat.S_IFREG):
            raise Invalid("file.path_refused", f"{asked.path} is not what a {asked.kind} is made of.")
        return found

    def _copied(self, source: Path, copy: Path) -> Digest:
        """What is read is what is kept, also if the file changes meanwhile: the copy is what gets its name."""
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with full_disk_is_said(), os.fdopen(descriptor, "rb") as content, copy.open("wb") as file:
            self._check_size(os.fstat(descriptor).st_size)
            shutil.copyfileobj(content, file, 1024 * 1024)
        return digest(copy)

    def _folder(self, source: Path, files: Path, listing: Path) -> list[Entry]:
        files.mkdir(mode=0o700)
        try:
            with full_disk_is_said():
                entries = listed(self._entries(source, files))
        except Unsafe as refused:
            raise Invalid("file.path_refused", f"The folder is refused. {refused}") from None
        listing.write_bytes(msgspec.json.encode(entries))
        return entries

    def _entries(self, source: Path, files: Path) -> Iterator[Entry]:
        take, total, count = taking(files), 0, 0
        for folder, names, leaves in os.walk(source):
            for path in (Path(folder) / name for name in [*names, *leaves]):
                entry, count = self._entry(path, safe_path(str(path.relative_to(source)))), count + 1
                if entry.type == "file":
                    total += entry.size
                    self._check_size(total)
                    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as content:
                        entry = msgspec.structs.replace(entry, sha256=take(content))
                if count > MOST_ENTRIES:
                    raise Unsafe(f"It has more than {MOST_ENTRIES} entries.")
                yield entry

    def _entry(self, path: Path, name: str) -> Entry:
        about = path.lstat()
        mode = stat.S_IMODE(about.st_mode) & 0o777
        if stat.S_ISLNK(about.st_mode):
            return Entry(path=name, type="link", mode=0o777, target=inside(name, str(path.readlink())))
        if stat.S_ISDIR(about.st_mode):
            return Entry(path=name, type="folder", mode=mode)
        if stat.S_ISREG(about.st_mode):
            return Entry(path=name, mode=mode, size=about.st_size)
        raise Unsafe(f"{name!a} is a device or a pipe; files, folders and links that stay inside are taken.")

    def _check_size(self, size: int) -> None:
        if size > self._most_bytes:
            raise Invalid("file.too_large", f"That is more than {self._most_bytes} bytes, the most that is taken.")
        self._place.check_room(size)
