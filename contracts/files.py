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


class BeginUpload(Struct, frozen=True, kw_only=True):
    """An upload of the same person with the same name, kind and content that was broken off is gone on with."""

    name: FileName
    kind: FileKind = FileKind.FILE
    """Of a folder, a tar file of it is uploaded; it is unpacked here, with the modes of its entries."""
    size: Size
    sha256: Sha256
    """Of the bytes that will be sent; checked when they are there."""
    note: Note = ""


class Upload(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    kind: FileKind
    size: Size
    offset: Size
    """How much is there. Send the rest from here; nothing is left to send when it is the size."""


class UploadRef(Struct, frozen=True, kw_only=True):
    id: Annotated[str, Meta(pattern=r"^u-[0-9a-f]{32}" + END)]


class SendPiece(Struct, frozen=True, kw_only=True):
    """The body is the bytes themselves."""

    id: Annotated[str, Meta(pattern=r"^u-[0-9a-f]{32}" + END)]
    offset: Size
    """Must be where the upload stands."""


class RegisterFile(Struct, frozen=True, kw_only=True):
    """Take a file or a folder of the management host into the depot. Its path must lie below a listed root."""

    name: FileName
    kind: FileKind = FileKind.FILE
    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    note: Note = ""


class ListEntries(Struct, frozen=True, kw_only=True):
    name: FileName
    version: Number = 0
    after: Annotated[str, Meta(max_length=4096)] = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 500


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One member of a folder or an archive."""

    path: str
    type: Literal["file", "folder", "link"] = "file"
    mode: int = 0o644
    """Permission bits, without set-user-id and its like."""
    size: int = 0
    sha256: str = ""
    """Of a folder's file; what an archive holds is not read file by file."""
    target: str = ""
    """Of a link; it stays inside."""


class Entries(Struct, frozen=True, kw_only=True):
    entries: list[Entry]
    next: str = ""


class ReadContent(Struct, frozen=True, kw_only=True):
    name: FileName
    version: Number = 0
    entry: Annotated[str, Meta(max_length=4096)] = ""
    """The path of a file in a folder, which itself cannot be read as one."""


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
