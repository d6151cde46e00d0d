"""Whoever named a revision that is not the newest is told what others changed since, of everything that has one."""

import pytest
import pytest_asyncio

from contracts import collectors, groups, hosts, people, sources, topology
from contracts.collectors import DeleteCollector, Program, PutCollector
from contracts.errors import Conflict
from contracts.groups import ChangeGroup, MoveHosts
from contracts.hosts import ChangeHost, Targets
from contracts.people import ChangeIntegration, CreateIntegration
from contracts.permissions import EVERYTHING, Scope
from contracts.runs import StoredScript
from contracts.sources import DeleteSource, PutSource, SourceMapping
from contracts.topology import AttributeType, ChangeAttribute, ChangePlace, DeclareAttribute, PlaceKind
from tests.races import changes, revised
from tests.resources.conftest import service
from tests.resources.people import OPERATOR

HOST = {"tags": (None, ["web"], "olga"), "labels.tier": (None, "front", "olga")}
PLACE = {"description": ("", "of the shop", "ada")}
ATTRIBUTE = {"choices": (["a"], ["a", "b"], "ada")}
SOURCE = {"every_s": (0, 60, "ada"), "secret": ("••••••", "••••••", "ada")}
PROGRAM = {"businesses": (None, ["shop"], "ada")}
GROUP = {"description": ("", "of the shop", "olga"), "number": (100, 7, "olga"), "hosts": (None, None, "ada")}

COLLECTOR = {"enabled": (True, False, "ada"), "program.timeout_s": (300, 60, "ada")}

CMDB = "https://cmdb.example:8443/hosts"


def collector(timeout_s=300, **more):
    program = Program(script=StoredScript(name="find"), targets=Targets(all=True), timeout_s=timeout_s)
    return PutCollector(name="find", program=program, **more)


LOSE = [
    (hosts.change_host, lambda host: ChangeHost(host=host, revision=1, tags=()), HOST),
    (topology.change_place, lambda _: ChangePlace(kind=PlaceKind.SET, path="blue", revision=1, description=""), PLACE),
    (topology.change_attribute, lambda _: ChangeAttribute(name="vendor", revision=1, choices=("a",)), ATTRIBUTE),
    (sources.put_source, lambda _: PutSource(name="cmdb", mapping=SourceMapping(url=CMDB), revision=1), SOURCE),
    (sources.delete_source, lambda _: DeleteSource(name="cmdb", revision=1), SOURCE),
    (collectors.put_collector, lambda _: collector(revision=1), COLLECTOR),
    (collectors.delete_collector, lambda _: DeleteCollector(name="find", revision=1), COLLECTOR),
    (people.change_integration, lambda _: ChangeIntegration(name="i-x", revision=1, scope=EVERYTHING), PROGRAM),
    (groups.change_group, lambda _: ChangeGroup(name="web", revision=1, description=""), GROUP),
    (groups.add_hosts, lambda host: MoveHosts(name="web", revision=1, hosts=(host,)), GROUP),
    (groups.remove_hosts, lambda host: MoveHosts(name="web", revision=1, hosts=(host,)), GROUP),
]


@pytest_asyncio.fixture(scope="module")
async def plane(nats, mongo):
    async with service(nats, mongo.url, source_hosts="cmdb.example:8443") as asker:
        yield asker


async def change_everything(ask):
    """A host, and one of everything else, each of which somebody has changed."""
    host = await ask.host()
    await ask(hosts.change_host, ChangeHost(host=host, tags=("web",), labels={"tier": "front"}), OPERATOR)
    await ask.places("set:blue")
    await ask(topology.change_place, ChangePlace(kind=PlaceKind.SET, path="blue", description="of the shop"))
    await ask(topology.declare_attribute, DeclareAttribute(name="vendor", type=AttributeType.CHOICE, choices=("a",)))
    await ask(topology.change_attribute, ChangeAttribute(name="vendor", choices=("a", "b")))
    for secret, every_s in (("one", 0), ("two", 60)):
        mapping = SourceMapping(url=CMDB)
        await ask(sources.put_source, PutSource(name="cmdb", mapping=mapping, secret=secret, every_s=every_s))
    await ask.places("business:shop")
    await ask(people.create_integration, CreateIntegration(name="i-x", calls=("resources.hosts.list",)))
    await ask(people.change_integration, ChangeIntegration(name="i-x", scope=Scope(businesses=("shop",))))
    await ask(collectors.put_collector, collector())
    await ask(collectors.put_collector, collector(timeout_s=60, enabled=False))
    await ask.group("web")
    await ask(groups.change_group, ChangeGroup(name="web", description="of the shop", number=7), OPERATOR)
    await ask(groups.add_hosts, MoveHosts(name="web", hosts=(host,)))
    return host


@pytest.mark.parametrize(("call", "request_of", "expected"), LOSE, ids=lambda each: getattr(each, "subject", ""))
async def test_whoever_lost_a_race_is_told_who_changed_what(ask, others, call, request_of, expected):
    host = await change_everything(ask)
    with pytest.raises(Conflict) as lost:
        await ask(call, request_of(host))
    told = lost.value
    assert told.reason.endswith(".changed_meanwhile")
    assert changes(told.details) == expected
    assert told.details["since"] == 1


def test_every_call_that_may_lose_a_race_is_in_the_table():
    assert {call.subject for call, *_ in LOSE} == revised("resources")
