"""Virtual resources from a CMDB: a real server with pages, hosts that rows name by IP or id, and what is missed."""

import json

import msgspec
import pytest
import pytest_asyncio

from contracts import imports, sources
from contracts.errors import Conflict, Invalid, NotFound
from contracts.imports import ImportRef, ImportState, ListRows, RowOutcome, VirtualRules
from contracts.sources import DeleteSource, Paging, PutSource, RunSource, SourceAuth, SourceMapping, SourceRef
from contracts.virtual import STALE_AFTER, VirtualKind
from runtime.mongo import now
from tests.resources.conftest import service
from tests.resources.test_imports import counts
from tests.resources.test_sources import TOKEN, Cmdb, finished
from tests.resources.test_virtual import listed
from tests.servers import until

RULES = VirtualRules(
    columns={"hv.ip": "host", "label": "name", "spec.cpus": "known.cpus", "seen": "observed", "junk": ""},
    defaults={"kind": "vm"},
)
SEEN = "2026-11-01T08:00:00+08:00"


@pytest_asyncio.fixture(scope="module")
async def plane(nats, mongo):
    async with service(nats, mongo.url, source_hosts="127.0.0.1") as asker:
        yield asker


@pytest_asyncio.fixture
async def cmdb():
    async with Cmdb().serving() as server:
        yield server


def row(label, host, **more):
    return {"label": label, "hv": {"ip": host}, "spec": {"cpus": 2}, "seen": SEEN, "junk": [1], **more}


def source(cmdb, path="/page", *, rules=RULES, every_s=0, **mapping):
    mapping = {"rows": "data.items", "paging": Paging.PAGE} | mapping
    secret = TOKEN if "auth" in mapping else None
    return PutSource(
        name="vms",
        mapping=SourceMapping(url=cmdb.url + path, **mapping),
        virtual=rules,
        every_s=every_s,
        secret=secret,
    )


async def fetched(ask, *, dry_run=False):
    begun = await ask(sources.run_source, RunSource(name="vms", dry_run=dry_run))
    return await finished(ask, begun.id)


async def told(ask, done):
    return (await ask(imports.list_rows, ListRows(id=done.id))).rows


async def test_pages_of_vms_become_resources_of_the_hosts_that_they_name(ask, cmdb):
    by_ip, by_id = await ask.host(ips=["10.1.0.1", "10.1.0.2"]), await ask.host()
    cmdb.machines = [row("a", "10.1.0.1"), row("b", by_id, kind="database"), row("c", "10.1.0.2")]
    await ask(sources.put_source, source(cmdb))
    planned = await fetched(ask, dry_run=True)
    assert (planned.state, counts(planned)) == (ImportState.PLANNED, {"rows": 3, "new": 3}), planned.message
    assert await listed(ask) == []
    rows = await told(ask, planned)
    assert [(each.line, each.host, each.name, each.done) for each in rows] == [
        (1, by_ip, "vm:a", False),
        (2, by_id, "database:b", False),
        (3, by_ip, "vm:c", False),
    ]
    assert [(each.field, each.after) for each in rows[0].changes] == [("known.cpus", 2)]
    done = await fetched(ask)
    assert (done.state, counts(done)) == (ImportState.APPLIED, {"rows": 3, "new": 3, "done": 3}), done.message
    found = {each.name: each for each in await listed(ask)}
    assert (found["a"].host, found["a"].kind, found["a"].known) == (by_ip, VirtualKind.VM, {"cpus": 2})
    assert (found["b"].host, found["b"].kind) == (by_id, VirtualKind.DATABASE)
    assert (found["a"].collector, found["a"].report, found["a"].observed.isoformat()) == (
        "source:vms",
        done.id,
        "2026-11-01T00:00:00+00:00",
    )
    assert counts(await fetched(ask)) == {"rows": 3, "unchanged": 3}, "asked again, nothing changes"
    cmdb.machines[0]["spec"]["cpus"] = 8
    changed = await fetched(ask)
    assert counts(changed) == {"rows": 3, "changed": 1, "unchanged": 2, "done": 1}
    [one] = await told(ask, changed)
    assert [(each.field, each.before, each.after) for each in one.changes] == [("known.cpus", 2, 8)]


async def test_what_is_missed_in_successive_fetches_is_stale_until_it_is_back(ask, cmdb):
    await ask.host(ips=["10.1.0.1"])
    cmdb.machines = [row("a", "10.1.0.1"), row("b", "10.1.0.1")]
    await ask(sources.put_source, source(cmdb))
    await fetched(ask)
    cmdb.machines = [row("b", "10.1.0.1")]
    assert counts(await fetched(ask, dry_run=True)) == {"rows": 1, "unchanged": 1, "vanished": 1}
    for number in range(1, STALE_AFTER + 1):
        done = await fetched(ask)
        assert counts(done) == {"rows": 1, "unchanged": 1, "vanished": 1, "done": 1}
        assert [(each.outcome, each.name, each.message) for each in await told(ask, done)] == [
            (RowOutcome.VANISHED, "vm:a", f"missed {number} times")
        ]
    assert [each.name for each in await listed(ask, stale=True)] == ["a"]
    assert counts(await fetched(ask)) == {"rows": 1, "unchanged": 1}, "it is told once"
    cmdb.machines = [row("a", "10.1.0.1"), row("b", "10.1.0.1")]
    assert counts(await fetched(ask)) == {"rows": 2, "changed": 1, "unchanged": 1, "done": 1}
    assert await listed(ask, stale=True) == []


async def test_the_same_fetch_misses_nothing_twice_however_often_it_is_applied(ask, cmdb):
    await ask.host(ips=["10.1.0.1"])
    cmdb.machines = [row("a", "10.1.0.1"), row("b", "10.1.0.1")]
    await ask(sources.put_source, source(cmdb))
    await fetched(ask)
    cmdb.machines = [row("b", "10.1.0.1")]
    planned = await fetched(ask, dry_run=True)
    for _ in range(STALE_AFTER):
        await ask(imports.apply_import, ImportRef(id=planned.id))
        await finished(ask, planned.id)
        # As an instance that dies after it wrote, and before it said so.
        await ask.database["imports"].update_one({"_id": planned.id}, {"$set": {"state": "planned"}})
        await ask.database["import_pieces"].insert_one(
            {"_id": f"{planned.id}:0", "import": planned.id, "number": 0, "text": json.dumps(cmdb.machines)}
        )
    assert {each.name: each.missed for each in await listed(ask)} == {"a": 1, "b": 0}


async def test_rows_of_unknown_hosts_are_told_and_nothing_is_lost(ask, cmdb):
    await ask.host(ips=["10.1.0.1"])
    cmdb.machines = [row("a", "10.1.0.1"), row("b", "10.1.0.1")]
    await ask(sources.put_source, source(cmdb))
    await fetched(ask)
    await ask.host(ips=["10.1.0.8"])
    await ask.host(ips=["10.1.0.8"])
    cmdb.machines = [
        row("a", "10.9.9.9"), row("x", "h-none"), row("x", "127.0.0.1"), row("y", "10.1.0.8"),
        row("z", "10.1.0.1"), row("z", "10.1.0.1"),
    ]  # fmt: skip
    done = await fetched(ask)
    assert counts(done) == {"rows": 6, "new": 1, "rejected": 3, "conflict": 2, "vanished": 1, "done": 2}
    assert [(each.line, each.name, each.reason) for each in await told(ask, done)] == [
        (0, "vm:b", ""),
        (1, "vm:a", "virtual.unknown_host"),
        (2, "vm:x", "virtual.unknown_host"),
        (3, "vm:x", "virtual.unknown_host"),
        (4, "vm:y", "virtual.ambiguous_host"),
        (5, "vm:z", ""),
        (6, "vm:z", "virtual.twice"),
    ]
    assert {each.name: each.missed for each in await listed(ask)} == {"a": 0, "b": 1, "z": 0}, (
        "the row of a may be the one that is known"
    )


@pytest.mark.parametrize(
    "bad",
    [
        "text",
        [],
        {"hv": {"ip": "10.1.0.1"}},
        row("x", ""),
        row("x", 7),
        row("x", "10.1.0.1", kind="moon"),
        row("x\x00", "10.1.0.1"),
        row("x", "10.1.0.1", seen="yesterday"),
        row("x", "10.1.0.1", seen="2026-11-01T08:00:00"),
        row("x", "10.1.0.1", seen="0001-01-01T00:00:00+14:00"),
        row("x", "10.1.0.1", spec={"cpus": 2**70}),
        row("x", "10.1.0.1", spec={"cpus": "\ud800"}),
        row("\ud800", "10.1.0.1"),
        row("x", {"$gt": ""}),
    ],
    ids=str,
)
async def test_a_row_that_cannot_be_read_is_told_and_keeps_what_is_known(ask, cmdb, bad):
    await ask.host(ips=["10.1.0.1"])
    cmdb.machines = [row("a", "10.1.0.1")]
    await ask(sources.put_source, source(cmdb))
    await fetched(ask)
    cmdb.machines = [bad, row("b", "10.1.0.1")]
    done = await fetched(ask)
    assert (done.state, counts(done)) == (ImportState.APPLIED, {"rows": 2, "new": 1, "rejected": 1, "done": 1})
    assert {(each.name, each.missed) for each in await listed(ask)} == {("a", 0), ("b", 0)}


async def test_it_is_asked_by_interval_once_with_a_secret_that_nobody_sees(ask, cmdb):
    await ask.host(ips=["10.1.0.1"])
    cmdb.machines = [row("a", "10.1.0.1")]
    wanted = source(cmdb, "/whole", every_s=3600, rows="", paging=Paging.NONE, auth=SourceAuth.BEARER)
    made = await ask(sources.put_source, wanted)
    assert (made.has_secret, TOKEN in repr(made)) == (True, False)
    await ask.database["sources"].update_one({"_id": "vms"}, {"$set": {"next_at": now()}})

    async def taken():
        return [each.name for each in await listed(ask)] == ["a"]

    await until(taken, "its time has come")
    assert await ask.database["imports"].count_documents({}) == 1, "by one of two instances"


async def test_a_source_is_deleted_and_what_it_brought_is_stale(ask, cmdb):
    await ask.host(ips=["10.1.0.1"])
    cmdb.machines = [row("a", "10.1.0.1")]
    await ask(sources.put_source, source(cmdb))
    await fetched(ask)
    with pytest.raises(Conflict) as refused:
        await ask(sources.delete_source, DeleteSource(name="vms", revision=7))
    assert refused.value.reason == "source.changed_meanwhile"
    assert (await ask(sources.delete_source, DeleteSource(name="vms", revision=1))).name == "vms"
    assert [each.stale for each in await listed(ask)] == [True]
    with pytest.raises(Conflict, match="There is no source vms any more"):
        await ask(sources.put_source, msgspec.structs.replace(source(cmdb), revision=1))
    for call, request in (
        (sources.delete_source, DeleteSource(name="vms")),
        (sources.show_source, SourceRef(name="vms")),
    ):
        with pytest.raises(NotFound):
            await ask(call, request)


async def test_what_a_plan_brings_after_its_source_was_deleted_is_stale(ask, cmdb):
    await ask.host(ips=["10.1.0.1"])
    cmdb.machines = [row("a", "10.1.0.1")]
    await ask(sources.put_source, source(cmdb))
    planned = await fetched(ask, dry_run=True)
    await ask(sources.delete_source, DeleteSource(name="vms"))
    await ask(imports.apply_import, ImportRef(id=planned.id))
    assert counts(await finished(ask, planned.id)) == {"rows": 1, "new": 1, "done": 1}
    assert [(each.name, each.stale) for each in await listed(ask)] == [("a", True)]


async def test_fields_of_hosts_are_none_of_virtual_resources(ask, cmdb):
    for columns in ({"a": "hostname"}, {"a": "known.$x"}, {"a": "known."}, {"a": "known.a\n"}):
        request = {"name": "vms", "mapping": {"url": cmdb.url}, "virtual": {"columns": columns}}
        with pytest.raises(Invalid):
            await ask(sources.put_source, request)
