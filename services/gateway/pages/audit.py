"""The whole audit trail as JSON lines, for whoever keeps it elsewhere or recomputes it."""

import msgspec
import structlog
from aiohttp import web

from contracts.audit import ListAudit, list_audit
from contracts.errors import ServiceError
from contracts.kinds import Call, get
from contracts.people import Nothing, Principal
from services.gateway.audit.service import AuditService
from services.gateway.routes import Page

MEDIA_TYPE = "application/x-ndjson"

log = structlog.get_logger()

export = Call(
    "gateway.audit.export",
    Nothing,
    str,
    needs=list_audit.needs,
    http=get("/audit/export"),
    idempotent=True,
    summary="The whole audit trail as JSON lines: keys, checkpoints, rows and the end",
)


def pages(audit: AuditService) -> list[Page]:
    async def handle(request: web.Request, _: Nothing, principal: Principal) -> web.StreamResponse:
        await audit.list(ListAudit(limit=1), principal)  # before the headers: its refusal is a proper answer
        response = web.StreamResponse(headers={"Content-Disposition": 'attachment; filename="audit.jsonl"'})
        response.content_type = MEDIA_TYPE
        await response.prepare(request)
        try:
            async for lines in audit.export():
                await response.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        except ServiceError as error:
            log.warning("audit.export_broken", reason=error.reason)
            if request.transport is not None:
                request.transport.abort()  # half of it must not look like the whole
        return response

    return [Page(export, handle, media_type=MEDIA_TYPE)]
