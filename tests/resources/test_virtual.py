"""Virtual machines and database instances: what collectors report, what is missed, and the two that are shipped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from contracts import virtual
from contracts.errors import Forbidden, Invalid, NotFound
from contracts.people import Principal
from contracts.permissions import Grant, Scope
from contracts.virtual import STALE_AFTER, CountVirtual, ListVirtual, ReportVirtual, VirtualKind
from tests.resources.people import OPERATOR, VIEWER

COLLECTORS = Path(__file__).parents[2] / "collectors"


def lines(*found):
    return "\n".join(json.dumps(each) for each in found)


def vm(name, **more):
    return {"kind": "vm", "name": name, **more}


def database(name, **more):
    return {"kind": "database", "name": name, **more}


async def report(ask, host, text, collector="virsh", by=OPERATOR):
    return await ask(virtual.report_virtual, ReportVirtual(host=host, collector=collector, lines=text), by)


async def listed(ask, by=VIEWER, **request):
    found, after = [], ""
    while True:
        page = await ask(virtual.list_virtual, ListVirtual(after=after, limit=2, **request), by)
        found += page.resources
        after = page.next
        if not after:
            return found


async def test_a_report_is_compared_with_the_one_before(ask):
    host = await ask.host()
    taken = await report(ask, host, lines(vm("a", cpus=2, state="running"), vm("b"), database("mysql:3306")))
    assert (taken.new, taken.changed, taken.unchanged, taken.missed) == (3, 0, 0, 0)
    taken = await report(ask, host, lines(vm("a", cpus=4, state="running"), vm("b"), vm("c")))
    assert (taken.new, taken.changed, taken.unchanged, taken.missed) == (1, 1, 1, 1)
    found = {each.name: each for each in await listed(ask)}
    assert found["a"].known == {"cpus": 4, "state": "running"}
    assert found["a"].first_seen < found["a"].last_seen
    assert (found["mysql:3306"].missed, found["mysql:3306"].stale) == (1, False)


async def test_what_is_missed_often_is_stale_and_stays_until_it_is_back(ask):
    host = await ask.host()
    await report(ask, host, lines(vm("a"), vm("b")))
    await report(ask, host, lines(database("redis:6379")), collector="databases")
    for number in range(1, STALE_AFTER + 1):
        taken = await report(ask, host, lines(vm("b")))
        assert (taken.missed, taken.stale) == ((1, 0) if number < STALE_AFTER else (0, 1))
    assert [each.name for each in await listed(ask, stale=True)] == ["a"]
    assert {each.name for each in await listed(ask, stale=False)} == {"b", "redis:6379"}, "another collector's stay"
    counts = (await ask(virtual.count_virtual, CountVirtual(hosts=(host, "h-none")), VIEWER)).hosts
    assert [(each.host, each.vm, each.database, each.stale) for each in counts] == [(host, 2, 1, 1)]
    await report(ask, host, lines(vm("a"), vm("b")))
    assert await listed(ask, stale=True) == []


async def test_lines_that_cannot_be_read_are_told_and_nothing_counts_as_missed(ask):
    host = await ask.host()
    await report(ask, host, lines(vm("a")))
    text = "\n".join(
        (lines(vm("b")), "", "nonsense", "[1]", lines(vm("")), '{"kind": "moon", "name": "x"}', "[" * 10_000)
    )
    taken = await report(ask, host, text)
    assert (taken.new, taken.missed, [each.line for each in taken.rejected]) == (1, 0, [3, 4, 5, 6, 7])
    for bad in (vm("c", **{"$where": "1"}), vm("c", **{"a.b": 1}), vm("c", n=2**70)):
        assert len((await report(ask, host, lines(bad))).rejected) == 1, bad
    nested = await report(ask, host, lines(vm("d", disks=["a", "b"], nothing=None)))
    assert nested.rejected == []
    assert {each.name for each in await listed(ask)} == {"a", "b", "d"}
    with pytest.raises(Invalid) as told:
        await report(ask, host, lines(*(vm(str(n)) for n in range(2001))))
    assert told.value.reason == "virtual.too_many"


async def test_they_are_searched_and_seen_by_who_sees_their_host(ask):
    mine, other = await ask.host(business="shop"), await ask.host(business="bank")
    await report(ask, mine, lines(vm("Web-1"), database("mysql:3306")))
    await report(ask, other, lines(vm("web-2"), vm("web-3"), vm("web-4")))
    assert [each.name for each in await listed(ask, search="WEB-1")] == ["Web-1"]
    assert len(await listed(ask, kinds=(VirtualKind.VM,), search="web")) == 4
    assert {each.name for each in await listed(ask, hosts=(mine,))} == {"Web-1", "mysql:3306"}
    grant = Grant(permissions=("hosts:read", "hosts:change"), scope=Scope(businesses=("shop",)))
    bound = Principal(kind="person", name="bo", grants=(grant,), via="session")
    assert {each.name for each in await listed(ask, bound)} == {"Web-1", "mysql:3306"}
    assert [
        each.host for each in (await ask(virtual.count_virtual, CountVirtual(hosts=(mine, other)), bound)).hosts
    ] == [mine]
    for host in (other, "h-none"):
        with pytest.raises(NotFound):
            await report(ask, host, lines(vm("x")), by=bound)
    with pytest.raises(Forbidden):
        await report(ask, mine, lines(vm("x")), by=VIEWER)


async def test_every_query_has_an_index(ask):
    host = await ask.host()
    await report(ask, host, lines(vm("a")))
    await ask.database.command("profile", 2)
    try:
        await report(ask, host, lines(vm("a")))
        for request in ({}, {"hosts": (host,)}, {"kinds": (VirtualKind.VM,)}, {"search": "a"}, {"stale": False}):
            await listed(ask, **request)
        await ask(virtual.count_virtual, CountVirtual(hosts=(host,)))
    finally:
        await ask.database.command("profile", 0)
    seen = (
        await ask.database["system.profile"]
        .find({"planSummary": "COLLSCAN", "ns": {"$regex": "virtual"}})
        .to_list(None)
    )
    assert [each["command"] for each in seen] == []
    await ask.database["system.profile"].drop()


def collected(program, *, path="", environ=None):
    said = subprocess.run(
        [sys.executable, str(COLLECTORS / program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **(environ or {}), **({"PATH": path} if path else {})},
    )
    return said.returncode, [json.loads(line) for line in said.stdout.splitlines()], said.stderr


VIRSH = """#!/bin/sh
case "$*" in
*"list --all --name") printf 'web-1\\n\\n' ;;
*"dominfo web-1") printf 'Id: 1\\nName: web-1\\nUUID: u-1\\nState: running\\nCPU(s): 2\\nMax memory: 2048 KiB\\n' ;;
*) exit 1 ;;
esac
"""


def test_the_collector_of_virsh_reads_what_virsh_says(tmp_path):
    program = tmp_path / "virsh"
    program.write_text(VIRSH)
    program.chmod(0o755)
    status, found, _ = collected("virsh.py", path=f"{tmp_path}:/usr/bin:/bin")
    assert (status, found) == (
        0,
        [
            {
                "kind": "vm",
                "name": "web-1",
                "uuid": "u-1",
                "state": "running",
                "cpus": 2,
                "memory_bytes": 2097152,
                "autostart": False,
            }
        ],
    )
    program.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    status, found, told = collected("virsh.py", path=f"{tmp_path}:/usr/bin:/bin")
    assert (status, found, "virsh cannot tell" in told) == (1, [], True)


def test_the_collector_of_databases_finds_this_very_mongod(mongo):
    status, found, _ = collected("databases.py")
    port = int(mongo.url.split(":")[2].split("/")[0])
    assert status == 0
    assert f"mongod:{port}" in {each["name"] for each in found}


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["/usr/sbin/mysqld", "--port=3307", "--datadir", "/data"], "mysql:3307"),
        (["/usr/sbin/mariadbd"], "mysql:3306"),
        (["/usr/bin/redis-server *:6380"], "redis:6380"),
        (["redis-server", "127.0.0.1:6390"], "redis:6390"),
        (["/usr/lib/postgresql/15/bin/postgres", "-D", "/var/lib/pg", "-p", "5433"], "postgres:5433"),
        (["postgres: checkpointer "], ""),
        (["/usr/bin/python3", "mysqld"], ""),
        (["mongod", "--port", "x"], "mongod:27017"),
    ],
)
def test_instances_are_named_by_engine_and_port(tmp_path, words, name):
    process = tmp_path / "7"
    process.mkdir()
    (process / "cmdline").write_bytes("\0".join(words).encode() + b"\0")
    program = f"import sys, runpy; from pathlib import Path; m = runpy.run_path({str(COLLECTORS / 'databases.py')!r})\n"
    said = subprocess.run(
        [sys.executable, "-c", program + f"m['main'](Path({str(tmp_path)!r}))"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert [json.loads(line)["name"] for line in said.stdout.splitlines()] == ([name] if name else [])
