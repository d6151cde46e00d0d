"""Where things lie in the depot's folder. Everything here blocks and belongs into a thread.

blobs/<first two>/<sha256>      a file or an archive, read-only
listings/<first two>/<sha256>   what is in that archive: the JSON list of its entries
folders/<first two>/<sha256>    a folder: the JSON list of its entries
members/<first two>/<sha256>    a file of one or more folders; the same bytes as a blob are not stored again
uploads/<id>/                   what is not complete yet
"""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import ServiceError, Unavailable

BLOCK_BYTES = 1024 * 1024
SPARE_BYTES = 256 * 1024**2
"""Stays free, so that a full depot does not take its neighbours down."""
PRIVATE = 0o700


@dataclass(frozen=True)
class Digest:
    sha256: str
    md5: str
    size: int


class Place:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.uploads = root / "uploads"

    def make(self) -> None:
        for name in ("blobs", "listings", "folders", "members", "uploads"):
            (self.root / name).mkdir(mode=PRIVATE, parents=True, exist_ok=True)

    def blob(self, sha256: str) -> Path:
        return self._at("blobs", sha256)

    def listing(self, sha256: str) -> Path:
        return self._at("listings", sha256)

    def folder(self, sha256: str) -> Path:
        return self._at("folders", sha256)

    def member(self, sha256: str) -> Path:
        return self._at("members", sha256)

    def path_of(self, file: Path) -> str:
        """Relative to the depot's folder, as it is recorded."""
        return str(file.relative_to(self.root))

    def folders(self) -> Iterator[Path]:
        """The lists of entries of all folders."""
        return (self.root / "folders").glob("??/*")

    def _at(self, kind: str, sha256: str) -> Path:
        return self.root / kind / sha256[:2] / sha256

    def check_room(self, size: int) -> None:
        """Raises Unavailable if so many bytes more would fill the disk."""
        free = shutil.disk_usage(self.root).free
        if free < size + SPARE_BYTES:
            raise no_space(f"{size} bytes are to come and {max(0, free - SPARE_BYTES)} are free for them")

    def keep(self, file: Path, at: Path) -> None:
        """Move a finished file to where it stays. What is there already is the same content, and a blob that is a
        member already, or the other way round, becomes a second name of it."""
        at.parent.mkdir(mode=PRIVATE, exist_ok=True)
        if at.exists():
            return
        others = {"blobs": self.member, "members": self.blob}.get(at.parent.parent.name)
        if others is not None and others(at.name).exists():
            at.hardlink_to(others(at.name))
        else:
            file.chmod(0o400)
            _sync(file)
            file.rename(at)
        _sync(at.parent)


def digest(file: Path) -> Digest:
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with file.open("rb") as content:
        while block := content.read(BLOCK_BYTES):
            sha256.update(block)
            md5.update(block)
            size += len(block)
    return Digest(sha256.hexdigest(), md5.hexdigest(), size)


def no_space(what: str = "the disk is full") -> ServiceError:
    return Unavailable("depot.no_space", f"The depot has no room: {what}. Delete files, or give it a larger disk.")


@contextlib.contextmanager
def full_disk_is_said() -> Iterator[None]:
    """A full disk is a refusal with its reason, no fault of ours."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise no_space() from None
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
