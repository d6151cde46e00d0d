"""Looks into archives, and unpacks the tar file of a folder, in a process of its own with bounds on time and memory.

    python -m services.gateway.depot.archives list ARCHIVE OUT
    python -m services.gateway.depot.archives unpack TAR OUT FOLDER

OUT becomes the JSON list of entries; `unpack` also writes each file to FOLDER/<sha256>, never under a name that stands
in the archive. Ends with 0, with 3 and one sentence on stdout that says why the archive is refused, or with 4 if the
disk is full.
"""

import errno
import hashlib
import resource
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from lzma import LZMAError
from pathlib import Path
from typing import IO, Any

import msgspec

from contracts.depot import Entry

MOST_ENTRIES = 100_000
FREE_BYTES = 1024**3
"""An archive may always unpack to this much."""
MOST_TIMES = 100
"""Beyond that, to so many times its own size; more is a bomb."""
MEMORY_BYTES = 1024**3
CPU_S = 900
BLOCK_BYTES = 1024 * 1024
REFUSED, FULL = 3, 4
_LONGEST_NAME, _LONGEST_PATH = 255, 4096

Reader = Callable[[], IO[bytes]]
Take = Callable[[IO[bytes]], str]


class Unsafe(Exception):
    """The archive is refused; the message is the sentence that says why."""


class Bounds:
    """Counts entries and bytes, and knows which paths are no folders."""

    def __init__(self, packed: int) -> None:
        self._most = max(FREE_BYTES, packed * MOST_TIMES)
        self._bytes = 0
        self._seen: dict[str, str] = {}
        self._folders: set[str] = set()
        """Paths that something lies below."""

    def add(self, entry: Entry) -> Entry:
        """Raises Unsafe."""
        self._bytes += entry.size
        if self._bytes > self._most:
            raise Unsafe(f"It unpacks to more than {self._most} bytes, which no honest archive of its size does.")
        if len(self._seen) >= MOST_ENTRIES:
            raise Unsafe(f"It has more than {MOST_ENTRIES} entries.")
        if entry.path in self._seen and not entry.type == self._seen[entry.path] == "folder":
            raise Unsafe(f"It has {entry.path!a} twice.")
        for parent in _parents(entry.path):
            if self._seen.get(parent, "folder") != "folder":
                raise Unsafe(f"{entry.path!a} lies below {parent!a}, which is a {self._seen[parent]}.")
            self._folders.add(parent)
        if entry.type != "folder" and entry.path in self._folders:
            raise Unsafe(f"{entry.path!a} is a {entry.type}, and something lies below it.")
        self._seen[entry.path] = entry.type
        return entry


def entries(archive: Path, take: Take | None = None) -> Iterator[Entry]:
    """What is in a tar or zip file. `take` gets each file's content and gives its sha256. Raises Unsafe."""
    bounds = Bounds(archive.stat().st_size)
    read = _of_zip if zipfile.is_zipfile(archive) else _of_tar
    try:
        for entry, open_content in read(archive):
            bounds.add(entry)
            sha256 = take(open_content()) if take is not None and entry.type == "file" else ""
            yield msgspec.structs.replace(entry, sha256=sha256)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, EOFError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise Unsafe(f"It cannot be read as a tar or zip file: {str(error)[:200]}.") from None


def _of_tar(archive: Path) -> Iterator[tuple[Entry, Reader]]:
    with tarfile.open(archive, "r|*") as tar:
        for member in tar:
            path = safe_path(member.name)
            if path:
                yield _of_member(member, path), partial(_content, tar, member)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    if content is None:
        raise Unsafe(f"{member.name!a} has no content of its own.")
    return content


def _of_member(member: tarfile.TarInfo, path: str) -> Entry:
    mode = member.mode & 0o777
    if member.isdir():
        return Entry(path=path, type="folder", mode=mode)
    if member.issym():
        return Entry(path=path, type="link", mode=0o777, target=inside(path, member.linkname))
    if member.isreg():
        return Entry(path=path, mode=mode, size=member.size)
    kind = "a hard link" if member.islnk() else "a device or a pipe"
    raise Unsafe(f"{path!a} is {kind}; files, folders and links that stay inside are taken.")


def _of_zip(archive: Path) -> Iterator[tuple[Entry, Reader]]:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            path = safe_path(member.filename)
            unix = member.external_attr >> 16
            mode = unix & 0o777 or (0o755 if member.is_dir() else 0o644)
            if stat.S_IFMT(unix) not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise Unsafe(f"{path!a} is a link or a device, which is not taken from a zip file.")
            if path:
                kind: Any = "folder" if member.is_dir() else "file"
                size = 0 if member.is_dir() else member.file_size
                yield Entry(path=path, type=kind, mode=mode, size=size), partial(packed.open, member)


def safe_path(name: str) -> str:
    """The name without `./` and the like; empty for the root itself. Raises Unsafe."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    try:
        encoded = [part.encode() for part in parts]
    except UnicodeEncodeError:
        raise Unsafe(f"The name {ascii(name)[:200]} is not UTF-8.") from None
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise Unsafe(f"The name {ascii(name)[:200]} leads outside.")
    if any(len(part) > _LONGEST_NAME for part in encoded) or sum(map(len, encoded)) + len(parts) > _LONGEST_PATH:
        raise Unsafe(f"The name {ascii(name)[:80]}… is too long.")
    return "/".join(parts)


def inside(path: str, target: str) -> str:
    """The target of a link at `path`, which must stay inside. Raises Unsafe.

    `..` may stand at its beginning only: the folders above a link are folders, while behind a name there may be
    another link, and `..` behind that leads elsewhere.
    """
    steps = [part for part in target.split("/") if part not in {"", "."}]
    up = next((count for count, step in enumerate(steps) if step != ".."), len(steps))
    if target.startswith("/") or not steps or "\0" in target or up > path.count("/") or ".." in steps[up:]:
        raise Unsafe(f"The link {ascii(path)[:200]} leads outside, to {ascii(target)[:200]}.")
    try:
        target.encode()
    except UnicodeEncodeError:
        raise Unsafe(f"The link to {ascii(target)[:200]} is not UTF-8.") from None
    return target


def _parents(path: str) -> Iterator[str]:
    at = path.find("/")
    while at != -1:
        yield path[:at]
        at = path.find("/", at + 1)


def taking(folder: Path) -> Take:
    """Writes a content to `folder/<sha256>`."""

    def take(content: IO[bytes]) -> str:
        part, sha256 = folder / ".part", hashlib.sha256()
        with part.open("wb") as file:
            while block := content.read(BLOCK_BYTES):
                sha256.update(block)
                file.write(block)
        part.rename(folder / sha256.hexdigest())
        return sha256.hexdigest()

    return take


def listed(found: Iterator[Entry]) -> list[Entry]:
    """In the order of their paths, so that equal folders have equal lists."""
    return sorted(found, key=lambda entry: entry.path)


def main(words: list[str]) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    verb, archive, out, *folder = words
    try:
        found = listed(entries(Path(archive), taking(Path(folder[0])) if verb == "unpack" else None))
        Path(out).write_bytes(msgspec.json.encode(found))
    except Unsafe as refused:
        sys.stdout.write(str(refused))
        return REFUSED
    except MemoryError:
        sys.stdout.write("It takes too much memory to read.")
        return REFUSED
    except OSError:
        return FULL
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
