"""Changing many hosts at once, and what is remembered of every change."""

import asyncio

import pytest

from contracts import edits, hosts
from contracts.edits import BulkEdit, ListHistory
from contracts.errors import Invalid, NotFound
from contracts.hosts import ChangeHost, HostFacts, HostFilter, HostRef, HostState, RevokeHost
from tests.resources.people import ADMIN, OPERATOR, VIEWER, Agent, Keys
from tests.servers import until


async def edit(ask, by=OPERATOR, **request):
    return await ask(edits.edit_hosts, BulkEdit(**request), by)


async def history(ask, host):
    """All pages: the newest first."""
    found, after = [], ""
    while True:
        page = await ask(edits.host_history, ListHistory(host=host, after=after, limit=1), VIEWER)
        found += page.events
        after = page.next
        if not after:
            return found


async def test_one_call_changes_many_hosts_and_tells_of_each(ask):
    await ask.places("business:bank")
    a = await ask.host(hostname="a", tags=("web", "old"), labels={"env": "prod"})
    b = await ask.host(hostname="b", tags=("web", "new"), business="bank")
    c = await ask.host(hostname="c", tags=("web",), state=HostState.IN_SERVICE)
    await ask(hosts.revoke_host, RevokeHost(host=c, why="gone"))
    change = {"business": "bank", "add_tags": ("new",), "remove_tags": ("old",), "set_labels": {"tier": "1"}}
    wanted = {"filter": HostFilter(tags=("web",)), **change}
    planned = await edit(ask, dry_run=True, **wanted)
    assert [(await ask.show(each)).revision for each in (a, b, c)] == [1, 1, 2], "nothing was changed"
    done = await edit(ask, **wanted)
    told = {each.host: each for each in done.hosts}
    assert {host: each.outcome for host, each in told.items()} == {a: "changed", b: "changed", c: "refused"}
    assert [(each.host, each.changes) for each in planned.hosts] == [(each.host, each.changes) for each in done.hosts]
    assert [(each.field, each.before, each.after) for each in told[a].changes] == [
        ("business", None, "bank"),
        ("labels.tier", None, "1"),
        ("tags", ["old", "web"], ["new", "web"]),
    ]
    assert told[c].reason == "host.revoked"
    after = await ask.show(a)
    assert (after.tags, after.labels, after.revision) == (("new", "web"), {"env": "prod", "tier": "1"}, 2)
    again = await edit(ask, **wanted)
    assert {each.outcome for each in again.hosts if each.host != c} == {"unchanged"}
    assert (await ask.show(a)).revision == 2


async def test_what_one_host_may_not_keeps_no_other_from_it(ask):
    a, b = await ask.host("js"), await ask.host("bj")
    await ask.places("room:js/r1")
    done = await edit(ask, filter=HostFilter(ids=(a, b)), room="r1")
    told = {each.host: (each.outcome, each.reason) for each in done.hosts}
    assert told == {a: ("changed", ""), b: ("refused", "place.missing")}
    done = await edit(ask, filter=HostFilter(ids=(a,)), state=HostState.DEPLOYING)
    assert done.hosts[0].reason == "host.wrong_state"
    await edit(ask, filter=HostFilter(ids=(a,)), add_tags=tuple(f"t{n}" for n in range(60)))
    done = await edit(ask, filter=HostFilter(ids=(a,)), add_tags=tuple(f"u{n}" for n in range(60)))
    assert done.hosts[0].reason == "host.too_much"


async def test_a_bulk_edit_goes_on_where_it_stopped_and_needs_a_choice(ask):
    made = sorted([await ask.host(tags=("web",)) for _ in range(5)])
    first = await edit(ask, filter=HostFilter(tags=("web",)), add_tags=("x",), limit=3)
    assert ([each.host for each in first.hosts], first.next) == (made[:3], made[2])
    rest = await edit(ask, filter=HostFilter(tags=("web",)), add_tags=("x",), limit=3, after=first.next)
    assert ([each.host for each in rest.hosts], rest.next) == (made[3:], "")
    with pytest.raises(Invalid) as told:
        await edit(ask, filter=HostFilter(), add_tags=("x",))
    assert told.value.reason == "targets.none_asked"


async def test_many_who_change_the_same_hosts_all_count(ask):
    made = [await ask.host(tags=("web",)) for _ in range(4)]
    await asyncio.gather(*(edit(ask, filter=HostFilter(tags=("web",)), add_tags=(f"t{n}",)) for n in range(6)))
    for host in made:
        after = await ask.show(host)
        assert (len(after.tags), after.revision) == (7, 7)
        assert [each.revision for each in await history(ask, host)] == [7, 6, 5, 4, 3, 2, 1]


async def test_history_tells_who_when_and_what(ask):
    host = await ask.host(business="shop", tags=("web",), hostname="a", ips=("10.0.0.1",))
    changed = await ask(hosts.change_host, ChangeHost(host=host, tags=("db",), business=""), OPERATOR)
    await ask(hosts.revoke_host, RevokeHost(host=host, why="gone"), ADMIN)
    revoked, change, enrolled = await history(ask, host)
    assert (enrolled.origin.kind, enrolled.by, enrolled.revision) == ("join_token", "enrolment", 1)
    assert {each.field: each.after for each in enrolled.changes} == {
        "business": "shop",
        "hostname": "a",
        "idc": "js",
        "ips": ["10.0.0.1"],
        "state": "in_service",
        "tags": ["web"],
    }
    assert (change.by, change.origin.kind, change.origin.name, change.origin.at) == (
        "olga",
        "person",
        "olga",
        changed.changed_at,
    )
    assert [(each.field, each.before, each.after) for each in change.changes] == [
        ("business", "shop", None),
        ("tags", ["web"], ["db"]),
    ]
    assert {each.field: each.after for each in revoked.changes} == {"revoked": True, "state": "retired"}
    for call, request in (
        (edits.host_history, ListHistory(host="h-none")),
        (edits.host_origins, HostRef(host="h-none")),
    ):
        with pytest.raises(NotFound) as told:
            await ask(call, request)
        assert told.value.reason == "host.unknown"


async def test_every_value_says_where_it_comes_from(ask, tmp_path):
    keys = Keys()
    enrolled = await ask.enrol(await ask.token(business="shop", labels={"a.b": "1"}), HostFacts(hostname="a"), keys)
    await ask(hosts.change_host, ChangeHost(host=enrolled.host, tags=("web",)), OPERATOR)
    async with Agent(tmp_path, keys, enrolled) as agent:
        await agent.hello(HostFacts(hostname="b", cpus=4))

        async def heard():
            return (await ask.show(enrolled.host)).facts.cpus == 4

        await until(heard, "the agent was heard")
    found = await ask(edits.host_origins, HostRef(host=enrolled.host), VIEWER)
    told = {each.field: (each.value, each.origin.kind) for each in found.fields}
    assert told == {
        "business": ("shop", "join_token"),
        "labels.a.b": ("1", "join_token"),
        "idc": ("js", "join_token"),
        "state": ("in_service", "join_token"),
        "tags": (["web"], "person"),
        "hostname": ("b", "agent"),
        "facts.hostname": ("b", "agent"),
        "facts.cpus": (4, "agent"),
    }
