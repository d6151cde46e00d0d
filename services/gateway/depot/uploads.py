"""Bringing content in over HTTP, piece by piece, as often broken off as need be. Each public method is one use case."""

import asyncio
import contextlib
import hashlib
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiofiles
import msgspec
import structlog
from msgspec import Struct

from contracts.depot import BeginUpload, SendPiece, Upload
from contracts.errors import Conflict, Invalid, NotFound
from contracts.files import File, FileKind
from services.gateway.depot import looking
from services.gateway.depot.looking import Looking
from services.gateway.depot.place import Place, digest, full_disk_is_said
from services.gateway.depot.settling import Record, Settling, Staged
from services.gateway.depot.staging import Staging

FORGOTTEN_S = 7 * 86_400
"""An upload that nobody goes on with for so long is removed."""
PART, ABOUT = "part", "about.json"

log = structlog.get_logger()


class About(Struct, frozen=True, kw_only=True):
    """What an upload is to become; it lies beside its bytes."""

    owner: str
    asked: BeginUpload


class Uploads:
    def __init__(self, place: Place, looking_: Looking, settling: Settling, *, most_bytes: int) -> None:
        self._place = place
        self._looking = looking_
        self._settling = settling
        self._most_bytes = most_bytes
        self._busy: set[str] = set()

    async def begin(self, asked: BeginUpload, owner: str) -> Upload:
        """Where to go on. Content that lies in the depot already is complete at once: nothing needs to be sent."""
        if asked.size > self._most_bytes:
            raise Invalid("file.too_large", f"{asked.name} has {asked.size} bytes; {self._most_bytes} are the most.")
        id_ = _id(owner, asked)
        with self._held(id_):
            await asyncio.to_thread(self._begin, id_, About(owner=owner, asked=asked))
        return await self.show(id_, owner)

    async def show(self, id_: str, owner: str) -> Upload:
        about = await self._about(id_, owner)
        return await asyncio.to_thread(self._shown, id_, about)

    async def send(self, piece: SendPiece, owner: str, content: AsyncIterator[bytes]) -> Upload:
        """Append; what came before a connection broke stays. Raises Conflict if it is not what comes next."""
        about = await self._about(piece.id, owner)
        with self._held(piece.id):
            known = await asyncio.to_thread(self._shown, piece.id, about)
            if piece.offset != known.offset:
                raise Conflict(
                    "file.wrong_offset",
                    f"{known.offset} bytes are here, so the next piece begins there and not at {piece.offset}.",
                    {"offset": known.offset},
                )
            with full_disk_is_said():
                await self._append(self._folder(piece.id) / PART, content, room=known.size - known.offset)
        return await self.show(piece.id, owner)

    async def withdraw(self, id_: str, owner: str) -> Upload:
        about = await self._about(id_, owner)
        with self._held(id_):
            shown = await asyncio.to_thread(self._shown, id_, about)
            await asyncio.to_thread(shutil.rmtree, self._folder(id_), ignore_errors=True)
        return shown

    async def complete(self, id_: str, owner: str, record: Record) -> File:
        """Check that all is there and right, put it where it stays, and have it recorded. If that fails, the upload
        stays as it was and can be completed again."""
        about = await self._about(id_, owner)
        with self._held(id_):
            part = await self._checked(id_, about)
            with looking.temporary(self._place) as made:
                staged = await self._staged(about.asked, part, Path(made))
                file = await self._settling.keep(staged, record)
            await asyncio.to_thread(shutil.rmtree, self._folder(id_), ignore_errors=True)
        return file

    async def _checked(self, id_: str, about: About) -> Path:
        """The bytes, all there. Raises Conflict while some are missing."""
        shown = await asyncio.to_thread(self._shown, id_, about)
        if shown.offset != shown.size:
            raise Conflict(
                "file.incomplete",
                f"{shown.offset} of {shown.size} bytes are here. Send the rest, then complete it.",
                {"offset": shown.offset},
            )
        return self._folder(id_) / PART

    async def _staged(self, asked: BeginUpload, part: Path, folder: Path) -> Staged:
        known = await asyncio.to_thread(digest, part)
        if known.sha256 != asked.sha256:
            await asyncio.to_thread(shutil.rmtree, part.parent, ignore_errors=True)
            raise Invalid(
                "file.hash_mismatch",
                f"What came has the sha256 {known.sha256} and not {asked.sha256}. It is removed; send it anew.",
            )
        staging = Staging(self._place, name=asked.name, source="upload", note=asked.note)
        content, listing, files = folder / "content", folder / "entries", folder / "files"
        if asked.kind is FileKind.FOLDER:
            return await staging.folder(files, listing, await self._looking.unpack(part, listing, files))
        content.hardlink_to(part)
        if asked.kind is FileKind.ARCHIVE:
            return await staging.archive(content, known, self._looking, listing)
        return staging.file(content, known)

    def _begin(self, id_: str, about: About) -> None:
        self._forget_old()
        folder = self._folder(id_)
        if (folder / ABOUT).exists():
            return
        self._place.check_room(about.asked.size)
        folder.mkdir(mode=0o700, exist_ok=True)
        part, blob = folder / PART, self._place.blob(about.asked.sha256)
        if blob.exists() and about.asked.kind is FileKind.FILE and not part.exists():
            part.hardlink_to(blob)
        part.touch(mode=0o600)
        with full_disk_is_said():
            written = folder / f".{ABOUT}"
            written.write_bytes(msgspec.json.encode(about))
            written.rename(folder / ABOUT)

    def _forget_old(self) -> None:
        before = time.time() - FORGOTTEN_S
        for folder in self._place.uploads.iterdir():
            part = folder / PART
            newest = (part if part.exists() else folder).stat().st_mtime
            if max(newest, folder.stat().st_mtime) < before and folder.name not in self._busy:
                log.info("upload.forgotten", upload=folder.name)
                shutil.rmtree(folder, ignore_errors=True)

    async def _append(self, part: Path, content: AsyncIterator[bytes], *, room: int) -> None:
        async with aiofiles.open(part, "ab") as file:
            async for block in content:
                room -= len(block)
                if room < 0:
                    raise Invalid("file.too_long", "More bytes came than were announced; the rest was not taken.")
                await file.write(block)

    async def _about(self, id_: str, owner: str) -> About:
        """Raises NotFound, also if it is somebody else's."""

        def read() -> About | None:
            try:
                return msgspec.json.decode((self._folder(id_) / ABOUT).read_bytes(), type=About)
            except (FileNotFoundError, msgspec.DecodeError):
                return None

        about = await asyncio.to_thread(read)
        if about is None or about.owner != owner:
            raise NotFound("file.upload_unknown", "You have no such upload. Begin anew.")
        return about

    def _shown(self, id_: str, about: About) -> Upload:
        asked = about.asked
        offset = (self._folder(id_) / PART).stat().st_size
        return Upload(id=id_, name=asked.name, kind=asked.kind, size=asked.size, offset=offset)

    def _folder(self, id_: str) -> Path:
        return self._place.uploads / id_

    @contextlib.contextmanager
    def _held(self, id_: str) -> Iterator[None]:
        """One at a time works on an upload; another is refused rather than kept waiting."""
        if id_ in self._busy:
            raise Conflict("file.upload_busy", "Another request works on this upload just now. Try again.")
        self._busy.add(id_)
        try:
            yield
        finally:
            self._busy.discard(id_)


def _id(owner: str, asked: BeginUpload) -> str:
    """The same for the same, so that whoever begins again goes on."""
    words = "\0".join((owner, asked.name, asked.kind, str(asked.size), asked.sha256))
    return f"u-{hashlib.blake2b(words.encode(), digest_size=16).hexdigest()}"
