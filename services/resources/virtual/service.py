"""Taking reports of virtual resources and looking at them. Each public method is one use case."""

import asyncio

import structlog

from contracts.people import Principal
from contracts.virtual import (
    CountVirtual,
    ListVirtual,
    ReportTaken,
    ReportVirtual,
    VirtualCounts,
    VirtualResources,
    list_virtual,
    report_virtual,
)
from runtime.authorize import scopes
from runtime.mongo import now
from runtime.paging import fitting
from services.resources.groups.reader import GroupReader
from services.resources.hosts.service import unknown
from services.resources.hosts.store import HostStore
from services.resources.virtual import model
from services.resources.virtual.store import VirtualStore

log = structlog.get_logger()


class VirtualService:
    def __init__(self, virtual: VirtualStore, hosts: HostStore, groups: GroupReader) -> None:
        self._virtual, self._hosts, self._groups = virtual, hosts, groups

    async def report(self, request: ReportVirtual, principal: Principal) -> ReportTaken:
        visible = await self._groups.visible(scopes(principal, report_virtual.needs))
        if await self._hosts.get(request.host, visible) is None:
            raise unknown(request.host)
        reported, rejected = await asyncio.to_thread(model.read, request.lines)
        known = await self._virtual.of_collector(request.host, request.collector)
        outcome = model.compared(request, reported, rejected, known, now())
        await self._virtual.put(outcome.written)
        taken = outcome.taken
        log.info("virtual.reported", host=request.host, new=taken.new, stale=taken.stale, by=principal.name)
        return taken

    async def list(self, request: ListVirtual, principal: Principal) -> VirtualResources:
        visible = await self._groups.visible(scopes(principal, list_virtual.needs))
        found = await self._virtual.page(request, visible)
        page = fitting(found[: request.limit])
        return VirtualResources(resources=page, next=page[-1].id if len(found) > len(page) else "")

    async def count(self, request: CountVirtual, principal: Principal) -> VirtualCounts:
        visible = await self._groups.visible(scopes(principal, list_virtual.needs))
        return VirtualCounts(hosts=await self._virtual.counts(request.hosts, visible))
