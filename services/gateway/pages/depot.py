"""Uploads, downloads and what else touches the depot's folder; names and versions are asked of the config service."""

from dataclasses import dataclass

from aiohttp import web

from contracts import depot as contract
from contracts import files
from contracts.depot import BeginUpload, DeleteFile, ListEntries, ReadContent, RegisterFile, SendPiece, UploadRef
from contracts.files import File, FindVersion, ForgetFile, Forgotten, FoundVersion, RecordFile
from contracts.people import Nothing, Principal
from runtime.bus import Bus
from services.gateway.depot.contents import Contents
from services.gateway.depot.passing import Passing
from services.gateway.depot.registering import Registering
from services.gateway.depot.settling import Record, Settling
from services.gateway.depot.uploads import Uploads
from services.gateway.routes import CALL_TIMEOUT_S, Page, as_json

BLOCK_BYTES = 1024 * 1024
BYTES = "application/octet-stream"


@dataclass(frozen=True)
class Depot:
    uploads: Uploads
    registering: Registering
    contents: Contents
    settling: Settling


class _Pages:
    """Of the gateway that has the depot's folder."""

    def __init__(self, bus: Bus, depot: Depot) -> None:
        self._bus = bus
        self._depot = depot

    async def begin(self, _: web.Request, asked: BeginUpload, principal: Principal) -> web.StreamResponse:
        return as_json(await self._depot.uploads.begin(asked, principal.name), 201)

    async def show(self, _: web.Request, asked: UploadRef, principal: Principal) -> web.StreamResponse:
        return as_json(await self._depot.uploads.show(asked.id, principal.name))

    async def send(self, request: web.Request, asked: SendPiece, principal: Principal) -> web.StreamResponse:
        content = request.content.iter_chunked(BLOCK_BYTES)
        return as_json(await self._depot.uploads.send(asked, principal.name, content))

    async def withdraw(self, _: web.Request, asked: UploadRef, principal: Principal) -> web.StreamResponse:
        return as_json(await self._depot.uploads.withdraw(asked.id, principal.name))

    async def complete(self, _: web.Request, asked: UploadRef, principal: Principal) -> web.StreamResponse:
        return as_json(await self._depot.uploads.complete(asked.id, principal.name, self._recorder(principal)), 201)

    async def register(self, _: web.Request, asked: RegisterFile, principal: Principal) -> web.StreamResponse:
        return as_json(await self._depot.registering.take(asked, self._recorder(principal)), 201)

    async def entries(self, _: web.Request, asked: ListEntries, principal: Principal) -> web.StreamResponse:
        return as_json(
            await self._depot.contents.entries(asked, await self._found(asked.name, asked.version, principal))
        )

    async def content(self, _: web.Request, asked: ReadContent, principal: Principal) -> web.StreamResponse:
        path = await self._depot.contents.path(asked, await self._found(asked.name, asked.version, principal))
        name = asked.entry.rpartition("/")[2] or asked.name
        plain = "".join(each if each.isascii() and each.isprintable() and each not in '"\\' else "_" for each in name)
        return web.FileResponse(path, headers={"Content-Disposition": f'attachment; filename="{plain}"'})

    async def remove(self, _: web.Request, asked: DeleteFile, principal: Principal) -> web.StreamResponse:
        file = await self._found(asked.name, 0, principal)
        request = ForgetFile(name=asked.name, revision=asked.revision)

        async def forget() -> Forgotten:
            return await self._bus.call(files.forget_file, request, principal=principal, timeout=CALL_TIMEOUT_S)

        await self._depot.settling.remove(file.kind, forget)
        return as_json(Nothing())

    def _recorder(self, principal: Principal) -> Record:
        async def record(known: RecordFile) -> File:
            return await self._bus.call(files.record_file, known, principal=principal, timeout=CALL_TIMEOUT_S)

        return record

    async def _found(self, name: str, version: int, principal: Principal) -> FoundVersion:
        asked = FindVersion(name=name, version=version)
        return await self._bus.call(files.find_version, asked, principal=principal, timeout=CALL_TIMEOUT_S)


def pages(bus: Bus, depot: Depot) -> list[Page]:
    """Of the gateway that has the depot's folder."""
    made = _Pages(bus, depot)
    return [
        Page(contract.begin_upload, made.begin),
        Page(contract.show_upload, made.show),
        # Nothing has become of a piece until the upload is completed, which is a row.
        Page(contract.send_piece, made.send, raw=True, audited=False),
        Page(contract.withdraw_upload, made.withdraw),
        Page(contract.complete_upload, made.complete),
        Page(contract.register_file, made.register),
        Page(contract.list_entries, made.entries),
        Page(contract.read_content, made.content, media_type=BYTES),
        Page(contract.delete_file, made.remove),
    ]


def passed_on(passing: Passing) -> list[Page]:
    """Of a gateway that has none: the same pages. The one that answers writes the audit trail."""
    raw, binary = contract.send_piece, contract.read_content
    return [
        Page(
            call,
            passing.handle,
            media_type=BYTES if call is binary else "application/json",
            audited=False,
            raw=call is raw,
        )
        for call in contract.CALLS
    ]
