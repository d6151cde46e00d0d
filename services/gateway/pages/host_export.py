"""Hosts as CSV, in the columns that an import takes.

Spreadsheets take a cell that begins as a formula does for one, so such a cell gets an apostrophe before it; an import
takes it away again.
"""

import csv
import io
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import msgspec
import structlog
from aiohttp import web

from contracts.errors import ServiceError
from contracts.hosts import Host, ListHosts, list_hosts
from contracts.kinds import Call, get
from contracts.people import Principal
from runtime.bus import Bus
from services.gateway.routes import CALL_TIMEOUT_S, Page

log = structlog.get_logger()

PAGE_HOSTS = 200
FORMULA = ("=", "+", "-", "@", "\t", "\r")
FIELDS = ("hostname", "ips", "idc", "room", "rack", "business", "product_line", "state", "serial", "asset_id", "tags")
RENAMED = {"set": "host_set", "class": "host_class"}
COLUMNS = (*FIELDS, *RENAMED)

export_hosts = Call(
    "gateway.hosts.export",
    ListHosts,
    str,
    needs=list_hosts.needs,
    http=get("/hosts.csv"),
    idempotent=True,
    summary="Hosts as CSV, as an import takes them",
)


@dataclass(frozen=True)
class Export:
    bus: Bus

    async def handle(self, request: web.Request, wanted: ListHosts, principal: Principal) -> web.StreamResponse:
        # Before the headers, so that a refusal is a proper answer: which labels and attributes there are at all.
        named = {name async for hosts in self._read(wanted, principal) for host in hosts for name in _named(host)}
        columns = (*COLUMNS, *sorted(named))
        response = web.StreamResponse(headers={"Content-Disposition": 'attachment; filename="hosts.csv"'})
        response.content_type, response.charset = "text/csv", "utf-8"
        await response.prepare(request)
        try:
            await response.write(_lines([columns]))
            async for hosts in self._read(wanted, principal):
                await response.write(_lines(cells(host, columns) for host in hosts))
        except ServiceError as error:
            log.warning("export.broken", reason=error.reason)
            if request.transport is not None:
                request.transport.abort()  # half a list must not look like a whole one
        return response

    async def _read(self, request: ListHosts, principal: Principal) -> AsyncIterator[list[Host]]:
        request = msgspec.structs.replace(request, limit=PAGE_HOSTS)
        while True:
            page = await self.bus.call(list_hosts, request, principal=principal, timeout=CALL_TIMEOUT_S)
            yield page.hosts
            if not page.next:
                return
            request = msgspec.structs.replace(request, after=page.next)


def pages(bus: Bus) -> list[Page]:
    return [Page(export_hosts, Export(bus).handle, media_type="text/csv")]


def cells(host: Host, columns: Iterable[str]) -> list[str]:
    named = _named(host)
    return [
        _cell(named[column] if column in named else getattr(host, RENAMED.get(column, column), ""))
        for column in columns
    ]


def _named(host: Host) -> dict[str, str | int | bool]:
    labels = {f"labels.{name}": value for name, value in host.labels.items()}
    return labels | {f"attributes.{name}": value for name, value in host.attributes.items()}


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = ";".join(value) if isinstance(value, tuple) else str(value)
    return f"'{text}" if text.startswith(FORMULA) and not isinstance(value, int) else text


def _lines(rows: Iterable[Iterable[str]]) -> bytes:
    written = io.StringIO(newline="")
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()
