"""A file of the depot, and what becomes of it. Pure."""

from datetime import datetime

import msgspec
from msgspec import UNSET

from contracts.errors import Conflict
from contracts.files import ChangeFile, File, FileVersion, RecordFile


def version(request: RecordFile, number: int, by: str, at: datetime) -> FileVersion:
    return FileVersion(
        number=number,
        size=request.size,
        sha256=request.sha256,
        md5=request.md5,
        entries=request.entries,
        path=request.path,
        source=request.source,
        origin=request.origin,
        note=request.note,
        by=by,
        at=at,
    )


def first(request: RecordFile, by: str, at: datetime) -> File:
    return File(
        name=request.name,
        kind=request.kind,
        description="",
        tags=(),
        newest=version(request, 1, by, at),
        revision=1,
        changed_by=by,
        changed_at=at,
    )


def next_version(file: File, request: RecordFile, by: str, at: datetime) -> File:
    """The file with the content as its newest version; the same object if it has that already. Raises Conflict."""
    if file.kind is not request.kind:
        raise Conflict(
            "file.other_kind",
            f"{file.name} is a {file.kind} and a version of it cannot be a {request.kind}. Choose another name.",
        )
    if file.newest.sha256 == request.sha256:
        return file
    return msgspec.structs.replace(
        file,
        newest=version(request, file.newest.number + 1, by, at),
        revision=file.revision + 1,
        changed_by=by,
        changed_at=at,
    )


def changed(file: File, request: ChangeFile, by: str, at: datetime) -> File:
    """The file after the change; the same object if nothing differs."""
    after = msgspec.structs.replace(
        file,
        description=file.description if request.description is UNSET else request.description,
        tags=file.tags if request.tags is UNSET else tuple(sorted(set(request.tags))),
    )
    if after == file:
        return file
    return msgspec.structs.replace(after, revision=file.revision + 1, changed_by=by, changed_at=at)
