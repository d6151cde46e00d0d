"""Bytes up and down: a file or folder into the depot, piece by piece, and out of it again."""

import hashlib
import http.client
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlencode

import click

from cli.client import API, Client, checked, typed
from cli.connection import Answer, cause
from cli.exits import Refused, Unreachable
from contracts.depot import (
    BeginUpload,
    Entries,
    ListEntries,
    Upload,
    UploadRef,
    begin_upload,
    complete_upload,
    list_entries,
    show_upload,
)
from contracts.files import File, FileKind

BLOCK_BYTES = 256 * 1024
TURNS = 5
"""How often a connection may break without a byte having got through."""
SILENT_S = 300.0

Progress = Callable[[int], None]
"""Told how many bytes are there by now."""


@contextmanager
def content_of(path: Path, kind: FileKind) -> Iterator[IO[bytes]]:
    """The bytes that are sent for it: of a folder, a tar file in the order of its names, made in a temporary file."""
    if kind is not FileKind.FOLDER:
        with path.open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as made:
        with tarfile.open(fileobj=made, mode="w") as tar:
            for each in sorted(path.rglob("*")):
                tar.inodes.clear()  # type: ignore[attr-defined]  # else a second name of a file is a hard link, which the depot does not take
                tar.add(each, str(each.relative_to(path)), recursive=False, filter=_anonymous)
        made.seek(0)
        yield made


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Names, modes and content count; whose it was here and when does not."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member


def begun(client: Client, file: IO[bytes], name: str, kind: FileKind, note: str) -> Upload:
    """The upload, new or gone on with."""
    file.seek(0)
    digest, size = hashlib.sha256(), 0
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
        size += len(block)
    asked = BeginUpload(name=name, kind=kind, size=size, sha256=digest.hexdigest(), note=note)
    return client.call(begin_upload, asked)


def send(client: Client, file: IO[bytes], upload: Upload, progress: Progress) -> File:
    """Send what is missing, as often as the connection breaks and there was progress. Raises Unreachable."""
    turns = 0
    while upload.offset < upload.size:
        progress(upload.offset)
        before = upload.offset
        problem = _sent(client, file, upload, progress)
        upload = client.call(show_upload, UploadRef(id=upload.id))
        turns = 0 if upload.offset > before else turns + 1
        if problem is not None and turns == TURNS:
            raise Unreachable(f"the connection broke {TURNS} times: {cause(problem)}", "Run the same command again.")
    progress(upload.size)
    return client.call(complete_upload, UploadRef(id=upload.id))


def _sent(client: Client, file: IO[bytes], upload: Upload, progress: Progress) -> Exception | None:
    """One attempt; what broke it, if anything did. A refusal ends the command."""
    file.seek(upload.offset)
    path = f"{API}/uploads/{upload.id}?{urlencode({'offset': upload.offset})}"
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(upload.size - upload.offset)}
    try:
        with client.connection.bytes("PUT", path, headers, SILENT_S, _blocks(file, progress)) as answer:
            checked(Answer(answer.status, answer.headers, answer.read()))
    except (OSError, http.client.HTTPException) as error:
        return error
    return None


def _blocks(file: IO[bytes], progress: Progress) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        yield block
        progress(file.tell())


def fetch(client: Client, name: str, version: int, entry: str, to: Path) -> None:
    """A file of the depot, under a temporary name until it is whole. Raises Unreachable."""
    query = {name: value for name, value in (("version", version), ("entry", entry)) if value}
    path = f"{API}/files/{quote(name, safe='')}/content" + (f"?{urlencode(query)}" if query else "")
    part = to.with_name(f".{to.name}.part")
    try:
        with client.connection.bytes("GET", path, {}, SILENT_S) as answer:
            if answer.status != http.client.OK:
                checked(Answer(answer.status, answer.headers, answer.read()))
            with part.open("wb") as file:
                while block := answer.read(BLOCK_BYTES):
                    file.write(block)
        part.replace(to)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise click.UsageError(f"cannot write {to}: {error.strerror}") from None
        raise Unreachable(f"the connection broke: {cause(error)}", "Run the same command again.") from None
    finally:
        part.unlink(missing_ok=True)


def fetch_folder(client: Client, name: str, version: int, to: Path) -> None:
    """A folder of the depot with its files, links and modes."""
    request = ListEntries(name=name, version=version, limit=1000)
    found = typed(client.all_pages(list_entries, request), Entries).entries
    if any(Path(each.path).is_absolute() or ".." in Path(each.path).parts for each in found):
        raise Refused("the server names a file outside of the folder", "Do not trust it.")
    if to.exists():
        raise click.UsageError(f"{to} exists already")
    to.mkdir(parents=True)
    for entry in found:
        at = to / entry.path
        if entry.type == "file":
            at.parent.mkdir(parents=True, exist_ok=True)
            fetch(client, name, version, entry.path, at)
            at.chmod(entry.mode)
    # Links after that, so that nothing is ever written through one; and folders from the inside out, since their modes
    # may forbid to write.
    for entry in reversed(found):
        at = to / entry.path
        at.parent.mkdir(parents=True, exist_ok=True)
        if entry.type == "link":
            at.symlink_to(entry.target)
        elif entry.type == "folder":
            at.mkdir(exist_ok=True)
            at.chmod(entry.mode)
