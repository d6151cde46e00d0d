"""Collectors: defined by whoever may run them, run by interval by one instance, their output taken host by host."""

from datetime import timedelta

import msgspec
import pytest

from contracts import collectors, groups
from contracts.collectors import (
    CollectionRef,
    CollectorRef,
    DeleteCollector,
    ListCollections,
    ListCollectors,
    Program,
    PutCollector,
)
from contracts.errors import Conflict, Forbidden, Invalid, NotFound
from contracts.groups import GroupRef
from contracts.hosts import HostFilter, Targets
from contracts.names import NameKind, NameRef, uses_of_name
from contracts.people import Principal
from contracts.permissions import Grant, Scope
from contracts.runs import StoredScript
from contracts.virtual import STALE_AFTER, VirtualKind
from runtime.mongo import now
from tests.resources.people import ADMIN, OPERATOR
from tests.resources.test_virtual import database, lines, listed, report, vm
from tests.servers import until


def wanted(**more):
    program = {"script": StoredScript(name="find"), "targets": Targets(all=True)} | more.pop("program", {})
    return PutCollector(name="found", program=Program(**program), **more)


async def put(ask, by=ADMIN, **more):
    return await ask(collectors.put_collector, wanted(**more), by)


async def run(ask):
    begun = await ask(collectors.run_collector, CollectorRef(name="found"))
    return await ended(ask, begun.id)


async def ended(ask, name):
    found = None

    async def is_so():
        nonlocal found
        found = await ask(collectors.show_collection, CollectionRef(id=name))
        return found.ended_at is not None

    await until(is_so, "the collection has ended")
    return found


def came_to(found):
    names = ("hosts", "silent", "rows", "new", "changed", "unchanged", "missed", "stale", "refused")
    return {name: number for name in names if (number := getattr(found, name))}


async def test_what_each_host_said_is_its_report(ask, others):
    one, two, away = sorted([await ask.host() for _ in range(3)])
    others.said = {one: lines(vm("a", cpus=2), database("mysql:3306")), two: lines(vm("a")), away: None}
    await put(ask, program={"account": "collecting", "timeout_s": 60})
    done = await run(ask)
    assert (done.state, done.run, done.by, done.message) == ("ended", "r0", "ada", "")
    assert came_to(done) == {"hosts": 2, "silent": 1, "rows": 3, "new": 3}
    assert {(each.host, each.name, each.report) for each in await listed(ask)} == {
        (one, "a", "r0"),
        (one, "mysql:3306", "r0"),
        (two, "a", "r0"),
    }
    [(started, by)] = others.started
    assert (started.stored.name, started.account, started.timeout_s, started.script) == ("find", "collecting", 60, "")
    assert (by.kind, by.name) == ("service", "resources"), "it runs as the service, which may run collectors only"
    assert others.asked == [("collecting", "ada"), ("collecting", "resources")]
    shown = await ask(collectors.show_collector, CollectorRef(name="found"))
    assert shown.last == done


async def test_what_reports_miss_and_what_comes_from_silent_hosts_is_stale(ask, others):
    one, two = sorted([await ask.host() for _ in range(2)])
    others.said = {one: lines(vm("a"), vm("b")), two: lines(vm("c"))}
    await put(ask)
    await run(ask)
    others.said = {one: lines(vm("b")), two: None}
    for number in range(1, STALE_AFTER + 1):
        which = "missed" if number < STALE_AFTER else "stale"
        assert came_to(await run(ask)) == {"hosts": 1, "silent": 1, "rows": 1, "unchanged": 1, which: 2}
    assert {each.name for each in await listed(ask, stale=True)} == {"a", "c"}
    others.said = {one: lines(vm("b"))}
    assert came_to(await run(ask)) == {"hosts": 1, "rows": 1, "unchanged": 1}, "they are stale already"
    others.said = {one: lines(vm("a"), vm("b")), two: lines(vm("c"))}
    assert came_to(await run(ask)) == {"hosts": 2, "rows": 3, "changed": 2, "unchanged": 1}
    assert await listed(ask, stale=True) == []


async def test_malformed_lines_are_refused_per_host_with_a_reason(ask, others):
    good, bad, wild = sorted([await ask.host() for _ in range(3)])
    others.said = {good: lines(vm("a")), bad: lines(vm("b")), wild: lines(vm("c"))}
    await put(ask, program={"kinds": (VirtualKind.VM,)})
    await run(ask)
    others.said = {
        good: lines(vm("a2")),
        bad: "\n".join((lines(vm("b2")), "nonsense", lines(database("x:1")), '{"kind": "vm"}')),
        wild: lines(*(vm(str(number)) for number in range(2001))),
    }
    done = await run(ask)
    assert came_to(done) == {"hosts": 3, "rows": 5, "new": 2, "missed": 1, "refused": 4}
    assert [(each.host, each.line, each.reason) for each in done.refusals] == [
        (bad, 2, "virtual.bad_record"),
        (bad, 3, "virtual.bad_record"),
        (bad, 4, "virtual.bad_record"),
        (wild, 0, "virtual.too_many"),
    ]
    assert {each.name: each.missed for each in await listed(ask)} == {"a": 1, "a2": 0, "b": 0, "b2": 0, "c": 0}


async def test_on_the_management_host_each_line_names_its_host(ask, others):
    one, two, management = await ask.host(ips=["10.2.0.1"]), await ask.host(), await ask.host()
    others.said = {management: lines(vm("a", host="10.2.0.1"), vm("b", host=two), vm("c", host="10.9.9.9"), vm("d"))}
    await put(ask, program={"targets": Targets(local=True)})
    done = await run(ask)
    assert came_to(done) == {"hosts": 1, "rows": 4, "new": 2, "refused": 2}
    assert [(each.line, each.reason) for each in done.refusals] == [
        (4, "virtual.bad_record"),
        (3, "virtual.unknown_host"),
    ]
    assert {(each.host, each.name, "host" in each.known) for each in await listed(ask)} == {
        (one, "a", False),
        (two, "b", False),
    }
    others.said = {management: lines(vm("a", host="10.9.9.9"))}
    assert came_to(await run(ask)) == {"hosts": 1, "rows": 1, "missed": 1, "refused": 1}
    assert {each.name: each.missed for each in await listed(ask)} == {"a": 0, "b": 1}, "a may be on the host not known"
    with pytest.raises(Invalid) as refused:
        await put(ask, program={"targets": Targets(local=True, idcs=("js",))})
    assert refused.value.reason == "collector.bad_targets"


async def test_nobody_else_reports_in_its_name(ask, others):
    host = await ask.host()
    others.said = {host: lines(vm("a"))}
    await put(ask)
    await run(ask)
    with pytest.raises(Conflict, match="runs by itself") as refused:
        await report(ask, host, "", "found")
    assert refused.value.reason == "virtual.others_name"
    assert [each.missed for each in await listed(ask)] == [0]
    await ask(collectors.delete_collector, DeleteCollector(name="found"))
    assert (await report(ask, host, lines(vm("a")), "found")).changed == 1, "a name that is free again"


async def test_no_host_tells_of_another(ask, others):
    one, two = sorted([await ask.host() for _ in range(2)])
    others.said = {one: lines(vm("a", host=two))}
    await put(ask)
    await run(ask)
    assert [each.host for each in await listed(ask)] == [one]


async def test_it_runs_by_interval_in_one_of_two_instances_and_not_beside_itself(ask, others):
    host = await ask.host()
    others.said = {host: lines(vm("a"))}
    others.goes_on.clear()
    await put(ask, every_s=60)
    await ask.database["collectors"].update_one({"_id": "found"}, {"$set": {"every_s": 1, "next_at": now()}})

    async def is_due_again():
        kept = await ask.database["collectors"].find_one({"_id": "found"})
        return kept["next_at"] > begun_at + timedelta(seconds=2)

    begun_at = now()
    await until(lambda: len(others.started) == 1, "it was started")
    await until(is_due_again, "its time has come again, while it runs")
    assert len(others.started) == 1
    begun = await ask(collectors.run_collector, CollectorRef(name="found"))
    assert (begun.run, begun.by) == ("r0", "collector found"), "whoever asks meanwhile finds it"
    others.goes_on.set()
    await until(lambda: len(others.started) >= 3, "it runs again and again")
    page = await ask(collectors.list_collections, ListCollections(name="found", limit=1))
    assert (len(page.collections), bool(page.next)) == (1, True)
    first = await ended(ask, begun.id)
    assert came_to(first) == {"hosts": 1, "rows": 1, "new": 1}
    keys = [request.idempotency_key for request, _ in others.started]
    assert len(set(keys)) == len(keys), "each was started once"


async def test_a_disabled_one_waits_for_whoever_asks(ask, others):
    await put(ask, every_s=60, enabled=False)
    await put_due(ask)
    others.said = {await ask.host(): lines(vm("a"))}
    assert came_to(await run(ask)) == {"hosts": 1, "rows": 1, "new": 1}
    assert len(others.started) == 1


async def put_due(ask):
    await ask.database["collectors"].update_one({"_id": "found"}, {"$set": {"next_at": now()}})


async def test_while_jobs_is_away_it_waits_and_what_is_refused_is_told(ask, others):
    others.said = {await ask.host(): lines(vm("a"))}
    await put(ask)
    others.away = True
    begun = await ask(collectors.run_collector, CollectorRef(name="found"))
    assert begun.state == "starting"
    others.away = False
    assert came_to(await ended(ask, begun.id)) == {"hosts": 1, "rows": 1, "new": 1}
    others.refuses = True
    failed = await run(ask)
    assert (failed.state, failed.reason, came_to(failed)) == ("failed", "script.not_online", {})
    assert [each.missed for each in await listed(ask)] == [0]


async def test_a_report_that_was_taken_in_part_is_taken_again_without_missing_twice(ask, others):
    host = await ask.host()
    others.said = {host: lines(vm("a"), vm("b"))}
    await put(ask)
    await run(ask)
    others.said = {host: lines(vm("b"))}
    done = await run(ask)
    for _ in range(STALE_AFTER):
        reopened = {"$set": {"open": True, "ended_at": None, "state": "running"}}
        await ask.database["collections"].update_one({"_id": done.id}, reopened)
        await ended(ask, done.id)
    assert {each.name: each.missed for each in await listed(ask)} == {"a": 1, "b": 0}


async def test_only_who_could_run_it_defines_it(ask, others):
    imports_only = Grant(permissions=("hosts:import",))
    for grants in ((imports_only,), (imports_only, Grant(permissions=("runs:start",), scope=Scope(businesses=("x",))))):
        with pytest.raises(Forbidden):
            await put(ask, by=Principal(kind="person", name="bo", grants=grants, via="session"))
    both = Grant(permissions=("hosts:import", "runs:start"))
    bo = Principal(kind="person", name="bo", grants=(both,), via="session")
    with pytest.raises(Forbidden) as refused:
        await put(ask, by=bo, program={"account": "root"})
    assert refused.value.reason == "account.not_granted"
    await put(ask, by=bo)
    for call, request in (
        (collectors.show_collector, CollectorRef(name="found")),
        (collectors.list_collectors, ListCollectors()),
        (collectors.run_collector, CollectorRef(name="found")),
        (collectors.delete_collector, DeleteCollector(name="found")),
    ):
        with pytest.raises(Forbidden):
            await ask(call, request, OPERATOR)


async def test_what_cannot_run_is_refused_when_it_is_defined(ask, others):
    await ask.host()
    for more, reason in (
        ({"every_s": 59}, "collector.too_often"),
        ({"program": {"script": StoredScript(name="none")}}, "script.unknown"),
        ({"program": {"targets": Targets()}}, "targets.none_asked"),
        ({"program": {"targets": Targets(where="nosuch = 1")}}, "expression.unknown_attribute"),
        ({"program": {"targets": Targets(groups=("nosuch",))}}, "group.unknown_member"),
    ):
        with pytest.raises((Invalid, NotFound)) as refused:
            await put(ask, **more)
        assert refused.value.reason == reason
    assert (await put(ask, program={"targets": Targets(idcs=("bj",))})).revision == 1, "there may be one tomorrow"
    others.tags = ("web",)
    with pytest.raises(Invalid) as refused:
        await put(ask)
    assert refused.value.reason == "collector.not_tagged"


async def test_they_are_listed_changed_by_revision_and_deleted(ask, others):
    others.said = {await ask.host(): lines(vm("a"))}
    first = await put(ask)
    await run(ask)
    second = await put(ask, revision=1, every_s=60)
    assert (first.revision, second.revision, second.changed_by, second.next_at > now()) == (1, 2, "ada", True)
    for call, request in (
        (collectors.put_collector, wanted(revision=1)),
        (collectors.delete_collector, DeleteCollector(name="found", revision=1)),
    ):
        with pytest.raises(Conflict) as refused:
            await ask(call, request)
        assert (refused.value.reason, refused.value.details["revision"]) == ("collector.changed_meanwhile", 2)
    await ask(collectors.put_collector, msgspec.structs.replace(wanted(), name="other"))
    page = await ask(collectors.list_collectors, ListCollectors(limit=1))
    assert ([each.name for each in page.collectors], page.collectors[0].last.rows, page.next) == (["found"], 1, "found")
    assert [
        each.name for each in (await ask(collectors.list_collectors, ListCollectors(after="found"))).collectors
    ] == ["other"]
    await ask(collectors.delete_collector, DeleteCollector(name="found", revision=2))
    assert [each.stale for each in await listed(ask)] == [True]
    with pytest.raises(NotFound):
        await ask(collectors.show_collector, CollectorRef(name="found"))
    with pytest.raises(NotFound):
        await ask(collectors.show_collection, CollectionRef(id="c-none"))


async def test_what_runs_when_it_is_deleted_is_not_taken(ask, others):
    others.said = {await ask.host(): lines(vm("a"))}
    others.goes_on.clear()
    await put(ask)
    begun = await ask(collectors.run_collector, CollectorRef(name="found"))
    await until(lambda: bool(others.started), "it runs")
    await ask(collectors.delete_collector, DeleteCollector(name="found"))
    others.goes_on.set()
    done = await ended(ask, begun.id)
    assert (done.state, done.reason, await listed(ask)) == ("failed", "collector.unknown", [])


async def test_what_is_taken_while_it_is_deleted_is_stale(ask, others):
    others.said = {await ask.host(): lines(vm("a"))}
    others.reads.clear()
    await put(ask)
    begun = await ask(collectors.run_collector, CollectorRef(name="found"))
    await until(lambda: others.reading > 0, "its output is read")
    await ask(collectors.delete_collector, DeleteCollector(name="found"))
    others.reads.set()
    done = await ended(ask, begun.id)
    assert (done.state, done.reason) == ("failed", "collector.unknown")
    assert [each.stale for each in await listed(ask)] == [True]


async def test_nobody_brings_one_back_that_was_deleted_since_they_looked(ask, others):
    await put(ask)
    await ask(collectors.delete_collector, DeleteCollector(name="found"))
    with pytest.raises(Conflict) as refused:
        await put(ask, revision=1)
    assert (refused.value.reason, refused.value.details) == ("collector.changed_meanwhile", {"revision": 0})
    assert (await put(ask, revision=0)).revision == 1


async def test_what_it_names_stays_as_long_as_it_does(ask, others):
    await ask.group("web")
    await ask.group("old")
    await ask.places("business:shop")
    exclude = HostFilter(where="group(old)")
    await put(
        ask, program={"account": "deploy", "targets": Targets(businesses=("shop",), groups=("web",), exclude=exclude)}
    )
    for kind, name in (
        (NameKind.ACCOUNT, "deploy"),
        (NameKind.GROUP, "web"),
        (NameKind.GROUP, "old"),
        (NameKind.BUSINESS, "shop"),
    ):
        told = await ask(uses_of_name("resources"), NameRef(kind=kind, name=name), None)
        assert told.uses == ("the collector found",)
    assert (await ask(uses_of_name("resources"), NameRef(kind=NameKind.ACCOUNT, name="other"), None)).uses == ()
    with pytest.raises(Conflict) as refused:
        await ask(groups.delete_group, GroupRef(name="old"))
    assert (refused.value.reason, "the collector found" in refused.value.message) == ("group.in_use", True)
    await ask(collectors.delete_collector, DeleteCollector(name="found"))
    await ask(groups.delete_group, GroupRef(name="old"))
