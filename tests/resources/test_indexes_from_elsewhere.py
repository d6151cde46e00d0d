"""Imports, sources, collectors and initialisations: every query has an index, those of the workers too."""

import contextlib
import json

import pytest_asyncio

from contracts import collectors, imports, inits, sources, virtual
from contracts.collectors import CollectorRef, DeleteCollector, ListCollections, ListCollectors
from contracts.hosts import HostState
from contracts.imports import (
    AddPiece,
    BeginImport,
    Format,
    ImportRef,
    ListImports,
    ListRows,
    OnVanished,
    RowOutcome,
    Rules,
)
from contracts.inits import AfterInit, InitHosts, ListInits
from contracts.names import NameKind, NameRef, uses_of_name
from contracts.sources import DeleteSource, ListSources, RunSource, SourceRef
from contracts.virtual import CountVirtual, ListVirtual, ReportVirtual, VirtualKind
from runtime.mongo import now
from tests.resources.conftest import service
from tests.resources.people import OPERATOR
from tests.resources.test_collectors import ended, put, run
from tests.resources.test_imports import ended as import_ended
from tests.resources.test_indexes import profiled
from tests.resources.test_sources import Cmdb, finished
from tests.resources.test_virtual import lines, vm
from tests.resources.test_virtual_sources import row, source
from tests.servers import until


@pytest_asyncio.fixture(scope="module")
async def plane(nats, mongo):
    async with service(nats, mongo.url, source_hosts="127.0.0.1") as asker:
        yield asker


@contextlib.asynccontextmanager
async def all_found(ask, *collections):
    """Nothing that is done meanwhile reads a whole collection, and these are looked into. One thing at a time, since
    MongoDB forgets the oldest of what it remembers."""
    async with profiled(ask.database) as seen:
        yield
    whole = [each["command"] for each in seen if "COLLSCAN" in each.get("planSummary", "")]
    assert [json.dumps(each, default=str) for each in whole] == []
    assert {each["ns"].partition(".")[2] for each in seen if "IXSCAN" in each.get("planSummary", "")} >= {*collections}


async def test_no_query_of_imports_reads_a_whole_collection(ask):
    async with all_found(ask, "imports", "import_pieces", "import_rows", "hosts"):
        await _imports(ask)


async def test_no_query_of_sources_and_reports_reads_a_whole_collection(ask):
    host = await ask.host(ips=["10.1.0.1"])
    async with Cmdb().serving() as cmdb, all_found(ask, "sources", "virtual", "imports"):
        await _sources(ask, cmdb)
    async with all_found(ask, "virtual"):
        await _virtual(ask, host)


async def test_no_query_of_collectors_reads_a_whole_collection(ask, others):
    others.said = {await ask.host(): lines(vm("a"))}
    async with all_found(ask, "collectors", "collections", "virtual"):
        await _collectors(ask)


async def test_no_query_of_initialisations_reads_a_whole_collection(ask, others):
    deploying = await ask.host(state=HostState.DEPLOYING)
    others.said = {deploying: "", await ask.host(): None}
    async with all_found(ask, "host_inits", "hosts"):
        await _inits(ask)


async def _imports(ask):
    rules = Rules(source="sheet", vanished=OnVanished.RETIRE, most_vanished_percent=100)
    for name in ("one", "two"):
        begun = await ask(imports.begin_import, BeginImport(format=Format.CSV, rules=rules, text="hostname,idc\n"))
        await ask(imports.add_piece, AddPiece(id=begun.id, number=1, text=f"{name},js\n"))
        for call in (imports.plan_import, imports.apply_import):
            await ask(call, ImportRef(id=begun.id))
            await import_ended(ask, begun.id)
        await ask(imports.list_rows, ListRows(id=begun.id, outcomes=(RowOutcome.NEW,), after="a"))
        await ask(imports.list_rows, ListRows(id=begun.id))
    await ask(imports.list_imports, ListImports(source="sheet", after="z"))
    await ask(imports.list_imports, ListImports())


async def _sources(ask, cmdb):
    cmdb.machines = [row("a", "10.1.0.1"), row("b", "h-none")]
    await ask(sources.put_source, source(cmdb, every_s=60))
    await ask.database["sources"].update_one({"_id": "vms"}, {"$set": {"next_at": now()}})

    async def asked():
        return (await ask(sources.show_source, SourceRef(name="vms"))).last_import

    await until(asked, "its time has come")
    await finished(ask, await asked())
    await finished(ask, (await ask(sources.run_source, RunSource(name="vms", dry_run=True))).id)
    await ask(sources.list_sources, ListSources(after="a"))
    await ask(sources.delete_source, DeleteSource(name="vms"))


async def _virtual(ask, host):
    for text in (lines(vm("b")), lines(vm("c"))):
        await ask(virtual.report_virtual, ReportVirtual(host=host, collector="virsh", lines=text))
    for request in ({}, {"hosts": (host,)}, {"kinds": (VirtualKind.VM,)}, {"search": "a"}, {"stale": False}):
        await ask(virtual.list_virtual, ListVirtual(**request))
    await ask(virtual.count_virtual, CountVirtual(hosts=(host,)))


async def _collectors(ask):
    await put(ask, every_s=60)
    await ask.database["collectors"].update_one({"_id": "found"}, {"$set": {"next_at": now()}})

    async def begun():
        return (await ask(collectors.show_collector, CollectorRef(name="found"))).last

    await until(begun, "its time has come")
    await ended(ask, (await begun()).id)
    await put(ask, revision=1)
    await run(ask)
    await ask(uses_of_name("resources"), NameRef(kind=NameKind.ACCOUNT, name="agent"), None)
    await ask(collectors.list_collectors, ListCollectors(after="a"))
    await ask(collectors.list_collections, ListCollections(name="found", after="d"))
    await ask(collectors.delete_collector, DeleteCollector(name="found"))


async def _inits(ask):
    followed = await ask(inits.init_hosts, InitHosts(run="r1", then=AfterInit.STANDBY), OPERATOR)
    assert followed.hosts == 1

    async def followed_to_its_end():
        return (await ask(inits.list_inits, ListInits(), OPERATOR)).inits[0].ended

    await until(followed_to_its_end, "nothing is waited for")
    await ask(inits.list_inits, ListInits(after="z"), OPERATOR)
