"""Bringing bytes into the depot and reading them. Answered by the gateway itself, whose routes for these are written by
hand, since bytes stream; so they are in no table of calls on the bus."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from contracts.files import File, FileKind, FileName, Note, Number, Sha256, Size
from contracts.kinds import Call, delete, get, post, put
from contracts.people import Nothing
from contracts.tokens import END


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


class DeleteFile(Struct, frozen=True, kw_only=True):
    name: FileName
    revision: int | None = None


begin_upload = Call(
    "gateway.uploads.begin",
    BeginUpload,
    Upload,
    needs="files:change",
    http=post("/uploads", status=201),
    idempotent=True,
    summary="Begin an upload, or go on with one that was broken off",
)
show_upload = Call(
    "gateway.uploads.show",
    UploadRef,
    Upload,
    needs="files:change",
    http=get("/uploads/{id}"),
    idempotent=True,
    summary="Where an upload stands",
)
send_piece = Call(
    "gateway.uploads.send",
    SendPiece,
    Upload,
    needs="files:change",
    http=put("/uploads/{id}"),
    summary="Send bytes of an upload, from its offset on",
)
withdraw_upload = Call(
    "gateway.uploads.withdraw",
    UploadRef,
    Upload,
    needs="files:change",
    http=delete("/uploads/{id}"),
    idempotent=True,
    summary="Give an upload up",
)
complete_upload = Call(
    "gateway.uploads.complete",
    UploadRef,
    File,
    needs="files:change",
    http=post("/uploads/{id}/complete", status=201),
    summary="Check an upload and make it the newest version of its file",
)
register_file = Call(
    "gateway.depot.register",
    RegisterFile,
    File,
    needs="files:change",
    http=post("/files", status=201),
    summary="Take a file or folder below a listed root of the management host into the depot",
)
list_entries = Call(
    "gateway.depot.entries",
    ListEntries,
    Entries,
    needs="files:read",
    http=get("/files/{name}/entries"),
    idempotent=True,
    summary="What is in a folder or an archive",
)
read_content = Call(
    "gateway.depot.content",
    ReadContent,
    str,
    needs="files:read",
    http=get("/files/{name}/content"),
    idempotent=True,
    summary="The bytes of a file; takes Range",
)
delete_file = Call(
    "gateway.depot.delete",
    DeleteFile,
    Nothing,
    needs="files:change",
    http=delete("/files/{name}"),
    summary="Delete a file with all its versions",
)

CALLS: tuple[Call[Any, Any], ...] = (
    begin_upload,
    show_upload,
    send_piece,
    withdraw_upload,
    complete_upload,
    register_file,
    list_entries,
    read_content,
    delete_file,
)
