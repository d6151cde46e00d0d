"""Files of the depot: content that is kept once and sent to hosts. Config has the metadata, the gateway the bytes."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from contracts.hosts import Tags
from contracts.kinds import Call, get, post
from contracts.tokens import END

FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}" + END)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}" + END)]
Size = Annotated[int, Meta(ge=0, le=2**53)]
Number = Annotated[int, Meta(ge=0, le=2**31)]
Note = Annotated[str, Meta(max_length=500)]
Description = Annotated[str, Meta(max_length=2000)]


class FileKind(StrEnum):
    FILE = "file"
    FOLDER = "folder"
    ARCHIVE = "archive"
    """A tar or zip file that may be unpacked on arrival; what is in it was looked at when it came."""


class FileVersion(Struct, frozen=True, kw_only=True):
    """Never changes. Versions of equal content share their bytes."""

    number: int
    """From 1."""
    size: Size
    """Bytes; of a folder, of all its files together."""
    sha256: str
    """Of the content; of a folder, of its list of entries, which names each file's own."""
    md5: str
    """Of the same bytes."""
    entries: int = 0
    """What is in a folder or an archive."""
    path: str
    """Where the content lies below the depot's folder."""
    source: Literal["upload", "path"]
    origin: str = ""
    """The path on the management host that it was registered from."""
    note: str = ""
    by: str
    at: datetime


class File(Struct, frozen=True, kw_only=True):
    name: str
    kind: FileKind
    description: str
    tags: tuple[str, ...]
    newest: FileVersion
    revision: int
    changed_by: str
    changed_at: datetime


class Files(Struct, frozen=True, kw_only=True):
    files: list[File]
    next: str = ""


class FileVersions(Struct, frozen=True, kw_only=True):
    versions: list[FileVersion]
    """Newest first."""
    next: str = ""


class ListFiles(Struct, frozen=True, kw_only=True):
    search: Annotated[str, Meta(max_length=200)] = ""
    """Matches the beginning of the name."""
    kinds: tuple[FileKind, ...] = ()
    tags: Tags = ()
    """All of them must be there."""
    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class FileRef(Struct, frozen=True, kw_only=True):
    name: FileName


class ListFileVersions(Struct, frozen=True, kw_only=True):
    name: FileName
    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class ChangeFile(Struct, frozen=True, kw_only=True):
    """Fields left out stay. The content changes by a new version only."""

    name: FileName
    revision: int | None = None
    description: Description | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET


class FindVersion(Struct, frozen=True, kw_only=True):
    name: FileName
    version: Number = 0
    """0: the newest."""


class FoundVersion(Struct, frozen=True, kw_only=True):
    kind: FileKind
    version: FileVersion


class RecordFile(Struct, frozen=True, kw_only=True):
    """Content that lies in the depot now and becomes the newest version of a file, which is made if it is new.

    The same content as the newest version's makes no new one.
    """

    name: FileName
    kind: FileKind
    size: Size
    sha256: Sha256
    md5: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}" + END)]
    entries: Number
    path: Annotated[str, Meta(max_length=200)]
    source: Literal["upload", "path"]
    origin: Annotated[str, Meta(max_length=4096)] = ""
    note: Note = ""


class ForgetFile(Struct, frozen=True, kw_only=True):
    name: FileName
    revision: int | None = None


class Forgotten(Struct, frozen=True, kw_only=True):
    name: str
    freed: list[FileVersion]
    """Whose content no version of any file has any more: those bytes may go."""


list_files = Call(
    "config.files.list",
    ListFiles,
    Files,
    needs="files:read",
    http=get("/files"),
    idempotent=True,
    summary="List the files of the depot",
)
show_file = Call(
    "config.files.show",
    FileRef,
    File,
    needs="files:read",
    http=get("/files/{name}"),
    idempotent=True,
    summary="Show a file of the depot",
)
list_file_versions = Call(
    "config.files.versions",
    ListFileVersions,
    FileVersions,
    needs="files:read",
    http=get("/files/{name}/versions"),
    idempotent=True,
    summary="List a file's versions, newest first",
)
change_file = Call(
    "config.files.change",
    ChangeFile,
    File,
    needs="files:change",
    http=post("/files/{name}"),
    summary="Change a file's description or tags",
)
find_version = Call(
    "config.files.find",
    FindVersion,
    FoundVersion,
    needs="files:read",
    idempotent=True,
    reads=True,
    summary="Where a version's content lies in the depot",
)
record_file = Call(
    "config.files.record",
    RecordFile,
    File,
    needs="files:change",
    idempotent=True,
    summary="Content in the depot becomes the newest version of a file; for the gateway",
)
forget_file = Call(
    "config.files.forget",
    ForgetFile,
    Forgotten,
    needs="files:change",
    summary="Forget a file with all its versions; for the gateway, which removes the bytes",
)
