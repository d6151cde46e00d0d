"""Every query that this service sends has an index: MongoDB itself tells, while every use case is used."""

import contextlib

import pytest
import pytest_asyncio

from contracts import edits, groups, hosts, people, topology
from contracts.edits import BulkEdit, ListHistory
from contracts.errors import Invalid
from contracts.groups import AskGroups, ChangeGroup, GroupRef, ListGroups, ListMembers, MoveHosts, PreviewExpression
from contracts.hosts import (
    ChangeHost,
    CreateJoinToken,
    HostFacts,
    HostFilter,
    HostRef,
    HostState,
    JoinTokenRef,
    ListHosts,
    RevokeHost,
)
from contracts.names import AskNames, NameKind, NameRef, unknown_names, uses_of_name
from contracts.people import ChangeIntegration, CreateIntegration, IntegrationRef, Nothing
from contracts.permissions import Scope
from contracts.topology import (
    AttributeRef,
    AttributeType,
    DeclareAttribute,
    ListAttributes,
    ListPlaces,
    PlaceKind,
    PlaceRef,
)
from tests.resources.conftest import service
from tests.resources.people import Agent, Keys
from tests.servers import until

FILTERS = (
    {"ids": ("h-1",)},
    {"ips": ("10.0.0.1",)},
    {"hostnames": ("web",)},
    {"idcs": ("js",)},
    {"businesses": ("shop",)},
    {"product_lines": ("cart",)},
    {"states": (HostState.IN_SERVICE,)},
    {"tags": ("web",)},
    {"rooms": ("r1",)},
    {"racks": ("a1",)},
    {"sets": ("blue",)},
)


@pytest_asyncio.fixture(scope="module")
async def plane(nats, mongo):
    """Silence is soon noticed."""
    async with service(nats, mongo.url, heartbeat_s=1.2) as asker:
        yield asker


@contextlib.asynccontextmanager
async def profiled(database):
    """What MongoDB did meanwhile: the entries of its profiler."""
    seen = []
    await database.command("profile", 2)
    try:
        yield seen
    finally:
        await database.command("profile", 0)
        seen += await database["system.profile"].find({"ns": {"$not": {"$regex": "system"}}}).to_list(None)
        await database["system.profile"].drop()


async def test_no_query_reads_a_whole_collection(ask, tmp_path):
    async with profiled(ask.database) as seen:
        await _every_use_case(ask, tmp_path)
    assert [each["command"] for each in seen if "COLLSCAN" in each.get("planSummary", "")] == []
    planned = {each["ns"].partition(".")[2] for each in seen if "IXSCAN" in each.get("planSummary", "")}
    assert planned >= {"hosts", "join_tokens", "revocations", "integrations"}


async def test_of_three_thousand_hosts_only_those_that_fit_are_read(ask):
    """Sorting by id would let an index on the id alone pass for one; the number of documents read tells."""
    await _herd(ask)
    given = {"business": "bank", "product_line": "card", "tags": ("rare",), "state": HostState.FAULTY}
    one = await ask.host("bj", ips=["172.16.0.1"], hostname="lone.example", **given)
    filters = (
        {"ids": (one,)},
        {"ips": ("172.16.0.1",)},
        {"hostnames": ("lone.example",)},
        {"idcs": ("bj",)},
        {"businesses": ("bank",)},
        {"product_lines": ("card",)},
        {"states": (HostState.FAULTY,)},
        {"tags": ("rare",)},
    )
    async with profiled(ask.database) as seen:
        for each in filters:
            assert [host.id for host in (await ask(hosts.list_hosts, ListHosts(**each))).hosts] == [one]
            assert [host.id for host in (await ask.resolve(**each)).hosts] == [one]
        for search in ("lone", "172.16", one):
            assert [host.id for host in (await ask(hosts.list_hosts, ListHosts(search=search))).hosts] == [one]
    reads = [each for each in seen if each["ns"].endswith(".hosts") and each["op"] in {"query", "command"}]
    assert len(reads) >= 2 * len(filters) + 3
    for read in reads:
        assert read["docsExamined"] <= 5, (read["command"], read["planSummary"])


async def test_of_three_thousand_hosts_only_members_are_read(ask):
    """Whatever a group or an expression says that an index can know, it knows it."""
    await _herd(ask)
    await ask.places("set:rare")
    await ask(topology.declare_attribute, DeclareAttribute(name="slots", type=AttributeType.INTEGER))
    one = await ask.host("bj", ips=["172.16.0.1"], hostname="lone.example", labels={"env": "odd"})
    await ask(hosts.change_host, ChangeHost(host=one, host_set="rare", attributes={"slots": 4}))
    await ask.group("hand", hosts=(one,))
    await ask.group("rule", expression="hostname = lone*")
    await ask.group("outer", groups=("hand", "rule", "set:rare"))
    expressions = (
        "ip in 172.16.0.0/12", "hostname = l*e.example", "labels.env = odd", "attributes.slots >= 3", "set = rare",
        f"id in ({one}, h-none)", "group(hand)", "group(outer) and not group(idc:js)", "labels.env = o* or set = rare",
    )  # fmt: skip
    async with profiled(ask.database) as seen:
        for name in ("hand", "rule", "set:rare", "outer"):
            assert [host.id for host in (await ask(groups.list_members, ListMembers(name=name))).hosts] == [one]
            assert [host.id for host in (await ask.resolve(groups=(name,))).hosts] == [one]
            assert [host.id for host in (await ask(hosts.list_hosts, ListHosts(groups=(name,)))).hosts] == [one]
        for expression in expressions:
            seen_first = await ask(groups.preview_expression, PreviewExpression(expression=expression))
            assert ([host.id for host in seen_first.hosts], seen_first.total) == ([one], 1), expression
            assert [host.id for host in (await ask.resolve(where=expression)).hosts] == [one]
        assert len((await ask(groups.groups_of_hosts, AskGroups(hosts=(one,)))).hosts) == 1
    reads = [each for each in seen if each["ns"].endswith(".hosts") and each["op"] in {"query", "command"}]
    assert len(reads) >= 3 * 4 + 3 * len(expressions)
    for read in reads:
        assert read["docsExamined"] <= 5, (read["command"], read["planSummary"])


async def test_a_page_in_the_middle_reads_the_page_only(ask):
    await _herd(ask)
    async with profiled(ask.database) as seen:
        for given in ({}, {"businesses": ("shop",)}, {"tags": ("web",)}, {"idcs": ("js",)}):
            await ask(hosts.list_hosts, ListHosts(after="h-01000", limit=50, **given))
    pages = {"find": "hosts", "limit": 51}  # presence looks at hosts too, by its own clock
    reads = [each for each in seen if pages.items() <= each.get("command", {}).items()]
    assert len(reads) == 4
    for read in reads:
        assert (read["nreturned"], read["docsExamined"]) == (51, 51), read["planSummary"]


async def _herd(ask):
    host = await ask.host("js", ips=["10.0.0.1"], hostname="web", business="shop", product_line="cart", tags=("web",))
    example = await ask.database["hosts"].find_one({"_id": host})
    many = [
        {**example, "_id": f"h-{n:05}", "user_key": str(n), "hostname": f"web-{n}", "ips": [f"10.0.{n >> 8}.{n & 255}"]}
        for n in range(3000)
    ]
    await ask.database["hosts"].insert_many(many)


async def _places_and_history(ask, host):
    for below in ({}, {"below": "js"}, {"kinds": (PlaceKind.RACK,), "after": "idc:js"}):
        await ask(topology.list_places, ListPlaces(**below))
    await ask(topology.show_place, PlaceRef(kind=PlaceKind.RACK, path="js/r1/a1"))
    with pytest.raises(Invalid):
        await ask(hosts.change_host, ChangeHost(host=host, room="r2"))
    await ask(topology.declare_attribute, DeclareAttribute(name="tier", type=AttributeType.STRING))
    await ask(topology.list_attributes, ListAttributes())
    await ask(edits.edit_hosts, BulkEdit(filter=HostFilter(tags=("web",)), set_attributes={"tier": "1"}))
    await ask(edits.edit_hosts, BulkEdit(filter=HostFilter(tags=("web",)), remove_attributes=("tier",), after="h"))
    await ask(topology.delete_attribute, AttributeRef(name="tier"))
    await ask(edits.host_history, ListHistory(host=host, after="h-z"))
    await ask(edits.host_origins, HostRef(host=host))


async def _groups(ask, host):
    await ask.group("hand", hosts=(host,))
    await ask.group("rule", expression="tag = web and not cpus > 4")
    await ask(groups.change_group, ChangeGroup(name="hand", number=7))
    await ask(groups.remove_hosts, MoveHosts(name="hand", hosts=(host,)))
    await ask(groups.add_hosts, MoveHosts(name="hand", hosts=(host,)))
    await ask(groups.list_groups, ListGroups(tags=("x",)))
    for name in ("hand", "rule", "global"):
        await ask(groups.show_group, GroupRef(name=name))
        await ask(groups.list_members, ListMembers(name=name, after="h"))
        await ask(hosts.list_hosts, ListHosts(groups=(name,), where="online or memory > 1GiB"))
        await ask.resolve(groups=(name,), exclude=HostFilter(where="os = none or kernel = x*"))
    with pytest.raises(Invalid):
        await ask(groups.preview_expression, PreviewExpression(expression="labels.nosuch = 1"))
    await ask(groups.preview_expression, PreviewExpression(expression="not tag = *"))
    await ask(groups.groups_of_hosts, AskGroups(hosts=(host,)))
    await ask(groups.delete_group, GroupRef(name="hand"))


async def _every_use_case(ask, tmp_path):
    keys = Keys()
    given = {"business": "shop", "product_line": "cart", "tags": ("web",)}
    token = await ask.token(uses=5, **given)
    await ask.enrol(token, HostFacts(hostname="old"), keys)
    enrolled = await ask.enrol(token, HostFacts(hostname="web", ips=("10.0.0.1",)), keys)
    async with Agent(tmp_path, keys, enrolled) as agent:
        await agent.hello(HostFacts(hostname="web", ips=("10.0.0.1", "10.0.0.2")))
        await agent.heartbeat()
        await agent.renew()

        async def swept():
            found = await ask.database["hosts"].find_one({"_id": enrolled.host})
            return "mark" in found["presence"] and not found["presence"]["online"]

        await until(swept, "the host was seen and swept")
    await ask.places("rack:js/r1/a1", "set:blue", "product_line:bank/cart")
    await ask(hosts.change_host, ChangeHost(host=enrolled.host, room="r1", rack="a1", host_set="blue"))
    for each in FILTERS:
        await ask(hosts.list_hosts, ListHosts(**each))
        await ask(hosts.list_hosts, ListHosts(**each, online=True, search="web", after="h"))
        excluded = HostFilter(**{"tags": ("none",), **each})
        with contextlib.suppress(Invalid):
            await ask.resolve(ids=(enrolled.host,), exclude=excluded, allow_unknown=True)
    for each in FILTERS[1:]:
        await ask.resolve(**each)
    await _groups(ask, enrolled.host)
    await ask.resolve(all=True)
    for empty in ({"local": True}, {"idcs": ("bj",)}):
        with pytest.raises(Invalid):
            await ask.resolve(**empty)
    for online in (True, False, None):
        await ask(hosts.list_hosts, ListHosts(online=online))
    await ask(hosts.list_hosts, ListHosts(search="10.0"))
    await ask(hosts.change_host, ChangeHost(host=enrolled.host, business="bank"))
    await _places_and_history(ask, enrolled.host)
    await ask(hosts.revoke_host, RevokeHost(host=enrolled.host, why="test"))
    made = await ask(hosts.create_join_token, CreateJoinToken(idc="js"))
    await ask(hosts.list_join_tokens, Nothing())
    await ask(hosts.withdraw_join_token, JoinTokenRef(id=made.id))
    await ask(people.create_integration, CreateIntegration(name="i-x", calls=("resources.hosts.list",)))
    await ask(people.list_integrations, Nothing())
    await ask(people.change_integration, ChangeIntegration(name="i-x", scope=Scope(script_tags=("x",))))
    for kind in (NameKind.GROUP, NameKind.BUSINESS, NameKind.ACCOUNT):
        await ask(uses_of_name("resources"), NameRef(kind=kind, name="x"), None)
    for kind in (NameKind.GROUP, NameKind.BUSINESS, NameKind.INTEGRATION):
        await ask(unknown_names("resources"), AskNames(kind=kind, names=("x",), near=True), None)
    await ask(people.revoke_integration, IntegrationRef(name="i-x"))
    await ask(people.create_integration, CreateIntegration(name="i-x", calls=("resources.hosts.list",)))
