"""Defining collectors, running them, and looking at what came of it. Each public method is one use case."""

from functools import partial

import structlog

from contracts.accounts import ResolveAccount, resolve_account
from contracts.collectors import (
    Collection,
    CollectionRef,
    Collections,
    Collector,
    CollectorRef,
    Collectors,
    DeleteCollector,
    ListCollections,
    ListCollectors,
    Program,
    PutCollector,
)
from contracts.errors import Invalid, NotFound
from contracts.hosts import ResolveTargets, Targets
from contracts.people import Principal
from contracts.permissions import EVERYTHING
from contracts.scripts import ResolveScript, resolve_script
from runtime import ids
from runtime.audit import note
from runtime.bus import Bus
from runtime.mongo import now
from runtime.paging import fitting
from services.resources.collectors import model
from services.resources.collectors.store import CollectorStore
from services.resources.expressions.tree import groups
from services.resources.groups.reader import GroupReader
from services.resources.targets.service import TargetService
from services.resources.virtual.store import VirtualStore

log = structlog.get_logger()


class CollectorService:
    def __init__(
        self, collectors: CollectorStore, virtual: VirtualStore, targets: TargetService, groups: GroupReader, bus: Bus
    ) -> None:
        self._collectors, self._virtual, self._bus = collectors, virtual, bus
        self._targets, self._groups = targets, groups
        self._own = Principal(kind="service", name=bus.name)
        """Who starts the runs."""

    async def put(self, request: PutCollector, principal: Principal) -> Collector:
        """Whoever defines it is asked now what whoever starts a run is asked, since the runs are started without them:
        may they run this script, use this account, and do these targets mean anything?"""
        model.check(request, principal)
        await self._check_program(request.program, principal)
        names = model.names(request.program, await self._groups_of(request.program.targets))
        while True:
            before = await self._collectors.get(request.name)
            await self._collectors.revisions.check(request.revision, before.revision if before else 0, request.name)
            collector = model.put(request, before, principal.name, now())
            if await self._collectors.save(collector, before, names):
                note(before=before, after=collector)
                log.info("collector.put", collector=collector.name, by=principal.name)
                return collector

    async def show(self, request: CollectorRef, _: Principal) -> Collector:
        return await self._get(request.name)

    async def list(self, request: ListCollectors, _: Principal) -> Collectors:
        found = await self._collectors.page(request)
        page = fitting(found[: request.limit])
        return Collectors(collectors=page, next=page[-1].name if len(found) > len(page) else "")

    async def delete(self, request: DeleteCollector, principal: Principal) -> Collector:
        """What goes on is not taken any more."""
        while True:
            collector = await self._get(request.name)
            await self._collectors.revisions.check(request.revision, collector.revision, collector.name)
            if await self._virtual.end(collector.name, partial(self._collectors.remove, collector)):
                note(before=collector)
                log.info("collector.deleted", collector=collector.name, by=principal.name)
                return collector

    async def run(self, request: CollectorRef, principal: Principal) -> Collection:
        collector = await self._get(request.name)
        return await self._collectors.begin(model.begun(f"c{ids.run_id()}", collector, principal.name, now()))

    async def collection(self, request: CollectionRef, _: Principal) -> Collection:
        found = await self._collectors.collection(request.id)
        if found is None:
            raise NotFound("collection.unknown", f"There is no run {request.id} of a collector.")
        return found

    async def collections(self, request: ListCollections, _: Principal) -> Collections:
        found = await self._collectors.collections(request)
        page = fitting(found[: request.limit])
        return Collections(collections=page, next=page[-1].id if len(found) > len(page) else "")

    async def _check_program(self, program: Program, principal: Principal) -> None:
        asked = ResolveScript(name=program.script.name, version=program.script.version, principal=principal)
        script = await self._bus.call(resolve_script, asked)
        model.check_tagged(script.name, script.tags)
        for by in (principal, self._own):
            await self._bus.call(resolve_account, ResolveAccount(account=program.account, principal=by))
        await self._check_targets(program.targets, principal)

    async def _check_targets(self, targets: Targets, principal: Principal) -> None:
        """That no host fits now is no mistake: there may be some tomorrow."""
        try:
            await self._targets.resolve(ResolveTargets(targets=targets, limit=1), principal)
        except Invalid as refused:
            if refused.reason != "targets.empty":
                raise

    async def _groups_of(self, targets: Targets) -> set[str]:
        """Those that its expressions name."""
        wheres = [each.where for each in (targets, targets.exclude) if each and each.where]
        language = await self._groups.language((EVERYTHING,), wheres)
        return {group for where in wheres for group in groups(language.read(where))}

    async def _get(self, name: str) -> Collector:
        collector = await self._collectors.get(name)
        if collector is None:
            raise NotFound("collector.unknown", f"There is no collector {name}.")
        return collector
