"""What people see of hosts, and what they may change."""

import asyncio

import msgspec
import pytest

from contracts import hosts, topology
from contracts.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from contracts.hosts import ChangeHost, HostRef, HostState, ListHosts, RevokeHost
from contracts.topology import AttributeType, DeclareAttribute
from services.resources.hosts.model import MOVES, canonical_ip
from tests.resources.people import ADMIN, NOBODY, OPERATOR, VIEWER


async def found(ask, **request):
    """Ids of all pages."""
    ids, after = [], ""
    while True:
        page = await ask(hosts.list_hosts, ListHosts(after=after, **request))
        ids += [host.id for host in page.hosts]
        after = page.next
        if not after:
            return ids


async def test_lists_are_paged_by_key_and_whole(ask):
    made = sorted([await ask.host() for _ in range(7)])
    for limit in (1, 2, 3, 6, 7, 8):
        assert await found(ask, limit=limit) == made
    first = await ask(hosts.list_hosts, ListHosts(limit=3))
    await ask.database["hosts"].delete_one({"_id": first.hosts[-1].id})
    rest = await ask(hosts.list_hosts, ListHosts(limit=10, after=first.next))
    assert [host.id for host in rest.hosts] == made[3:], "a page begins after a key, whether or not it still exists"


async def test_lists_are_filtered_as_targets_are(ask):
    a = await ask.host("js", ips=["10.0.0.1"], hostname="Web-1", business="shop", tags=("web", "blue"))
    b = await ask.host("bj", ips=["10.0.0.2", "fd00::2"], hostname="db-1", business="shop", product_line="cart")
    for request, expected in (
        ({"idcs": ("js",)}, [a]),
        ({"businesses": ("shop",)}, [a, b]),
        ({"businesses": ("shop",), "tags": ("blue", "red")}, [a]),
        ({"product_lines": ("cart",)}, [b]),
        ({"ips": ("FD00::0002",)}, [b]),
        ({"hostnames": ("WEB-1",)}, [a]),
        ({"ids": (a, b, "h-none")}, [a, b]),
        ({"states": (HostState.RETIRED,)}, []),
        ({"states": (HostState.IN_SERVICE,)}, [a, b]),
    ):
        assert sorted(await found(ask, **request)) == sorted(expected), request


async def test_search_matches_the_beginning_of_id_name_or_ip(ask):
    a = await ask.host(ips=["10.0.0.1", "192.168.7.1"], hostname="Web-1.example")
    b = await ask.host(ips=["10.0.1.1"], hostname="web-2.example")
    for text, expected in (
        ("web", [a, b]),
        ("WEB-1", [a]),
        ("eb-1", []),
        ("10.0.", [a, b]),
        ("10.0.0.", [a]),
        ("192.168", [a]),
        (a, [a]),
        (a[:8], [a]),
        ("^web", []),
        (".*", []),
    ):
        assert sorted(await found(ask, search=text)) == sorted(expected), text


async def test_search_does_not_join_two_ips_of_a_host(ask):
    """One address above the beginning and another below its end are no match."""
    await ask.host(ips=["10.0.0.1", "30.0.0.1"])
    assert await found(ask, search="20.") == []


async def test_a_change_changes_what_it_names_only(ask):
    host = await ask.host(business="shop", product_line="cart", tags=("web",), labels={"rack": "7"})
    await ask.places("product_line:bank/cart")
    after = await ask(hosts.change_host, ChangeHost(host=host, business="bank"), OPERATOR)
    assert (after.business, after.product_line, after.tags, after.labels) == ("bank", "cart", ("web",), {"rack": "7"})
    assert (after.state, after.revision) == (HostState.IN_SERVICE, 2)
    after = await ask(hosts.change_host, ChangeHost(host=host, tags=("b", "a", "b"), labels={}, product_line=""))
    assert (after.tags, after.labels, after.product_line, after.revision) == (("a", "b"), {}, "", 3)
    assert await ask.show(host) == after


async def test_a_host_has_a_place_and_what_people_decided_to_know(ask):
    host = await ask.host()
    await ask.places("rack:js/r1/A7", "set:blue")
    for name, kind in (("slots", "integer"), ("warranty", "boolean"), ("vendor", "string")):
        await ask(topology.declare_attribute, DeclareAttribute(name=name, type=AttributeType(kind)))
    given = {"room": "r1", "rack": "A7", "host_set": "blue", "serial": "S-1", "asset_id": "4711"}
    attributes = {"slots": 2**63 - 1, "warranty": True, "vendor": "acme"}
    after = await ask(hosts.change_host, ChangeHost(host=host, attributes=attributes, **given), OPERATOR)
    assert {name: getattr(after, name) for name in given} == given
    assert (after.attributes, after.agent, after.changed_by) == (attributes, True, "olga")
    assert after.changed_at > after.created_at
    assert await ask.show(host) == after
    other = await ask.host()
    for criterion in ({"rooms": ("r1",)}, {"racks": ("A7",)}, {"sets": ("blue", "green")}):
        assert await found(ask, **criterion) == [host]
        assert [each.id for each in (await ask.resolve(**criterion)).hosts] == [host]
    assert sorted(await found(ask)) == sorted([host, other])


async def test_labels_keep_their_dots(ask):
    labels = {"example.com/team": "a", "net.zone": "b", ".": "c"}
    host = await ask.host(labels=labels)
    assert (await ask.show(host)).labels == labels
    changed = await ask(hosts.change_host, ChangeHost(host=host, labels={"x.y": "$z"}))
    assert (await ask.show(host)).labels == changed.labels == {"x.y": "$z"}


async def test_a_change_that_changes_nothing_is_no_revision(ask):
    host = await ask.host(tags=("a", "b"))
    after = await ask(hosts.change_host, ChangeHost(host=host, tags=("b", "a"), state=HostState.IN_SERVICE))
    assert after.revision == 1


async def test_with_a_revision_the_slower_of_two_is_refused(ask):
    host = await ask.host()
    await ask.places(*(f"business:b{n}" for n in range(8)))
    changes = [ChangeHost(host=host, revision=1, business=f"b{n}") for n in range(8)]
    outcomes = await asyncio.gather(*(ask(hosts.change_host, each) for each in changes), return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, Conflict)]
    assert {each.reason for each in refused} == {"host.changed_meanwhile"}
    assert {(each.details["revision"], each.details["by"]) for each in refused} == {(2, "ada")}
    assert len(refused) == 7
    assert (await ask.show(host)).revision == 2


async def test_without_a_revision_all_changes_happen(ask):
    host = await ask.host()
    await ask.places("business:b", "set:s")
    names = ("business", "host_set", "tags", "labels")
    values = ("b", "s", ("t",), {"l": "v"})
    changes = [ChangeHost(host=host, **{name: value}) for name, value in zip(names, values, strict=True)]
    await asyncio.gather(*(ask(hosts.change_host, each) for each in changes))
    after = await ask.show(host)
    assert (after.business, after.host_set, after.tags, after.labels, after.revision) == (*values, 5)


async def test_states_move_step_by_step(ask):
    host = await ask.host(state=HostState.IN_SERVICE)
    with pytest.raises(Conflict) as told:
        await ask(hosts.change_host, ChangeHost(host=host, state=HostState.DEPLOYING))
    assert told.value.reason == "host.wrong_state"
    assert "can become faulty, maintenance, retired, standby" in told.value.message
    for state in (HostState.RETIRED, HostState.STANDBY, HostState.DEPLOYING, HostState.IN_SERVICE):
        assert (await ask(hosts.change_host, ChangeHost(host=host, state=state))).state == state


def test_every_state_has_its_moves_and_may_stay():
    assert set(MOVES) == set(HostState)
    assert all(state in moves for state, moves in MOVES.items())
    assert HostState.IN_SERVICE not in MOVES[HostState.RETIRED]


async def test_a_revoked_host_is_a_record(ask):
    host = await ask.host()
    await ask(hosts.revoke_host, RevokeHost(host=host, why="stolen"))
    with pytest.raises(Conflict) as told:
        await ask(hosts.change_host, ChangeHost(host=host, state=HostState.IN_SERVICE))
    assert told.value.reason == "host.revoked"
    assert (await ask.show(host)).revoked


async def test_unknown_hosts_are_told_apart_from_bad_names(ask):
    for call, request in ((hosts.show_host, HostRef(host="h-none")), (hosts.change_host, ChangeHost(host="h-none"))):
        with pytest.raises(NotFound) as told:
            await ask(call, request)
        assert told.value.reason == "host.unknown"
    for name in ("*", ">", "a.b", "", "h 1", "h-1\n", "H-1", "h" * 65, "../x"):
        with pytest.raises(Invalid) as bad:
            await ask(hosts.show_host, HostRef(host=name))
        assert bad.value.reason == "bus.malformed"


@pytest.mark.parametrize(
    ("verb", "request_body"),
    [
        ("list", {"search": {"$regex": "^"}}),
        ("list", {"search": "x" * 201}),
        ("list", {"after": {"$gt": ""}}),
        ("list", {"limit": 0}),
        ("list", {"limit": 1001}),
        ("list", {"online": "yes"}),
        ("list", {"ids": [{"$ne": 1}]}),
        ("list", {"tags": "web"}),
        ("show", {"host": {"$ne": ""}}),
        ("change", {"host": "h-1", "revision": "1"}),
        ("change", {"host": "h-1", "state": "dead"}),
        ("change", {"host": "h-1", "tags": ["a b"]}),
        ("change", {"host": "h-1", "tags": ["a"] * 65}),
        ("change", {"host": "h-1", "labels": {"$set": "x"}}),
        ("change", {"host": "h-1", "labels": {"a": {"$x": 1}}}),
        ("change", {"host": "h-1", "business": "x" * 201}),
        ("change", {"host": "h-1", "attributes": {"a.b": 1}}),
        ("change", {"host": "h-1", "attributes": {"$set": 1}}),
        ("change", {"host": "h-1", "attributes": {"a": 2**63}}),
        ("change", {"host": "h-1", "attributes": {"a": 1.5}}),
        ("change", {"host": "h-1", "attributes": {"a": {"$gt": 1}}}),
        ("revoke", {"host": "h-1", "why": ""}),
        ("revoke", {"host": "h-1"}),
    ],
)
async def test_requests_that_do_not_fit_are_refused_before_the_database(ask, verb, request_body):
    answer = await ask.bus.connection.request(
        f"svc.gateway.resources.hosts.{verb}",
        msgspec.json.encode(request_body),
        headers={"Drover-Principal": msgspec.json.encode(ADMIN).decode()},
    )
    assert msgspec.json.decode(answer.data)["reason"] == "bus.malformed"


async def test_a_revision_beyond_the_database_is_just_another_one(ask):
    with pytest.raises(Conflict):
        await ask(hosts.change_host, ChangeHost(host=await ask.host(), revision=2**70))


async def test_who_may_look_and_who_may_change(ask):
    host = await ask.host()
    assert (await ask(hosts.show_host, HostRef(host=host), VIEWER)).id == host
    with pytest.raises(Forbidden):
        await ask(hosts.change_host, ChangeHost(host=host, business="x"), VIEWER)
    for call, request in ((hosts.list_hosts, ListHosts()), (hosts.show_host, HostRef(host=host))):
        with pytest.raises(Unauthenticated):
            await ask(call, request, NOBODY)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::FFFF:10.0.0.1", "10.0.0.1"),
        ("FD00:0::0001", "fd00::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("010.0.0.1", "010.0.0.1"),
        ("10.0.0.1/24", "10.0.0.1/24"),
        ("", ""),
    ],
)
def test_one_spelling_per_address(text, expected):
    assert canonical_ip(text) == expected
