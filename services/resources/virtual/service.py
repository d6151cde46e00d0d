"""Taking reports of virtual resources and looking at them. Each public method is one use case."""

import asyncio

import structlog

from contracts.errors import Conflict, ServiceError
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
from runtime.paging import fitting
from services.resources.collectors.store import CollectorStore
from services.resources.groups.reader import GroupReader
from services.resources.hosts.service import unknown
from services.resources.hosts.store import HostStore
from services.resources.virtual import model
from services.resources.virtual.store import VirtualStore
from services.resources.virtual.taking import Taking

log = structlog.get_logger()


class VirtualService:
    def __init__(
        self, virtual: VirtualStore, hosts: HostStore, groups: GroupReader, collectors: CollectorStore
    ) -> None:
        self._virtual, self._hosts, self._groups, self._collectors = virtual, hosts, groups, collectors

    async def report(self, request: ReportVirtual, principal: Principal) -> ReportTaken:
        visible = await self._groups.visible(scopes(principal, report_virtual.needs))
        if await self._hosts.get(request.host, visible) is None:
            raise unknown(request.host)
        await self._refuse_foreign(request.collector)
        records, refused = await asyncio.to_thread(model.read, request.lines, host=request.host)
        model.refuse_too_many(records)
        taking = Taking(self._virtual, request.collector)
        async for some in taking.take(records):
            refused += [(each.record.line, each.outcome) for each in some if isinstance(each.outcome, ServiceError)]
        if not refused:
            async for _ in taking.missed(host=request.host):
                pass
        names = ("new", "changed", "unchanged", "missed", "stale")
        taken = ReportTaken(**{name: taking.counts[name] for name in names}, rejected=model.rejected(refused))
        log.info("virtual.reported", host=request.host, new=taken.new, stale=taken.stale, by=principal.name)
        return taken

    async def _refuse_foreign(self, name: str) -> None:
        """What a collector found is for its runs alone to say."""
        if await self._collectors.get(name) is not None:
            raise Conflict(
                "virtual.others_name",
                f"{name} is a collector that runs by itself; a report in its name would make stale what it found."
                " Report by another name, or run it.",
            )

    async def list(self, request: ListVirtual, principal: Principal) -> VirtualResources:
        visible = await self._groups.visible(scopes(principal, list_virtual.needs))
        found = await self._virtual.page(request, visible)
        page = fitting(found[: request.limit])
        return VirtualResources(resources=page, next=page[-1].id if len(found) > len(page) else "")

    async def count(self, request: CountVirtual, principal: Principal) -> VirtualCounts:
        visible = await self._groups.visible(scopes(principal, list_virtual.needs))
        return VirtualCounts(hosts=await self._virtual.counts(request.hosts, visible))
