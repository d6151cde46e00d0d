"""In which groups a host is: asked of many hosts at once, it is what the groups themselves say."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import groups, hosts
from contracts.groups import AskGroups, Group, GroupKind, ListMembers
from contracts.hosts import ChangeHost, HostClass
from services.resources.expressions.parser import parse
from services.resources.expressions.predicate import Around, predicate
from services.resources.groups.catalogue import Catalogue, Stored
from services.resources.groups.expression import read
from services.resources.groups.sieve import Sieve, need
from tests.resources.people import VIEWER
from tests.resources.test_expressions import DECLARED, EXPRESSIONS, HOST, HOSTS, NOW


async def of_hosts(ask, *hosts):
    """Host → names of its groups, in the order of the answer."""
    answer = await ask(groups.groups_of_hosts, AskGroups(hosts=hosts), VIEWER)
    assert answer.rest == ()
    return {each.host.id: [group.name for group in each.groups] for each in answer.hosts}


async def test_groups_come_from_the_lowest_precedence_to_the_highest(ask):
    await ask.places("set:blue")
    host = await ask.host("js", tags=("web",))
    await ask(hosts.change_host, ChangeHost(host=host, host_set="blue"))
    for name, number, members in (
        ("zz", 5, {"hosts": (host,)}),
        ("b", 50, {"expression": "tag = web"}),
        ("a", 50, {"groups": ("zz",)}),
        ("none", 7, {"expression": "tag = db"}),
        ("top", 1000, {"expression": 'group("a") and not group("none")'}),
    ):
        await ask.group(name, number=number, **members)
    assert await of_hosts(ask, host) == {host: ["global", "idc:js", "set:blue", "zz", "a", "b", "top"]}
    answer = await ask(groups.groups_of_hosts, AskGroups(hosts=(host,)))
    assert [(each.kind, each.number) for each in answer.hosts[0].groups][1:4] == [
        (GroupKind.IDC, 0), (GroupKind.SET, 0), (GroupKind.CUSTOM, 5),
    ]  # fmt: skip


async def test_each_host_is_answered_once_sorted_and_unknown_ones_are_left_out(ask):
    a, b = sorted([await ask.host("js"), await ask.host("bj")])
    assert list(await of_hosts(ask, b, "h-none", a, b, "$ne")) == [a, b]
    assert await of_hosts(ask, "h-none") == {}


async def test_management_hosts_are_in_groups_too(ask):
    host = await ask.host("mgmt", host_class=HostClass.MANAGEMENT)
    await ask.group("drover", expression="class = management")
    assert await of_hosts(ask, host) == {host: ["global", "idc:mgmt", "drover"]}


async def test_what_one_message_cannot_carry_is_told_to_be_asked_for_again(ask):
    labels = {f"l{n}": "x" * 200 for n in range(60)}
    example = await ask.database["hosts"].find_one({"_id": await ask.host(labels=labels)})
    many = [{**example, "_id": f"h-{n:012x}", "user_key": str(n)} for n in range(400)]
    await ask.database["hosts"].delete_many({})
    await ask.database["hosts"].insert_many(many)
    wanted, found, questions = tuple(each["_id"] for each in many), [], 0
    while wanted:
        answer = await ask(groups.groups_of_hosts, AskGroups(hosts=wanted))
        found += [each.host.id for each in answer.hosts]
        wanted, questions = answer.rest, questions + 1
    assert found == [each["_id"] for each in many]
    assert questions > 1
    await ask.group("all", groups=("global",))
    listed, after = [], ""
    while not listed or after:
        page = await ask(groups.list_members, ListMembers(name="all", after=after, limit=1000))
        listed, after = listed + [each.id for each in page.hosts], page.next
    assert listed == found


async def test_what_a_host_says_of_its_groups_is_what_the_groups_say_of_their_hosts(ask):
    made = [
        await ask.host(idc, tags=tags, labels={"n": str(len(tags))})
        for idc in ("js", "bj")
        for tags in ((), ("a",), ("a", "b"), ("b",))
    ]
    await ask.group("s1", hosts=tuple(made[:3]))
    await ask.group("s2", hosts=tuple(made[2:6]))
    await ask.group("d1", expression="tag = a and idc = js")
    await ask.group("d2", expression="not group(s1) and (labels.n = 2 or group(d1))")
    await ask.group("n1", groups=("s1", "d2"))
    await ask.group("n2", groups=("n1", "idc:bj"))
    await ask.group("d3", expression="group(n2) and not group(s2)")
    told = await of_hosts(ask, *made)
    for among in (("d3",), ("n2", "s1", "idc:js"), ("global", "nothing"), ()):
        answer = await ask(groups.groups_of_hosts, AskGroups(hosts=tuple(made), among=among))
        asked = {each.host.id: [group.name for group in each.groups] for each in answer.hosts}
        assert asked == {host: [name for name in names if name in among] for host, names in told.items()}
    for name in ("s1", "s2", "d1", "d2", "n1", "n2", "d3", "global", "idc:js", "idc:bj"):
        members = {host.id for host in (await ask(groups.list_members, ListMembers(name=name))).hosts}
        assert members == {host for host, names in told.items() if name in names}, name


@given(st.lists(EXPRESSIONS, min_size=1, max_size=12), st.lists(HOSTS, min_size=1, max_size=8))
@settings(max_examples=200, deadline=None)
def test_what_the_sieve_takes_out_would_not_have_held(texts, hosts):
    trees = [parse(text, DECLARED) for text in texts]
    sieve = Sieve([*trees, None])
    for host in hosts:
        left = sieve.left(host)
        assert left == sorted(set(left))
        assert len(trees) in left, "what has no expression is always left"
        holding = [n for n, tree in enumerate(trees) if predicate(tree)(host, Around(host["groups"], NOW))]
        assert set(holding) <= set(left)


@pytest.mark.parametrize(
    ("text", "attribute", "texts"),
    [
        ("business = shop", "business", {"shop"}),
        ("idc = js and tag in (a, b) and rack = r1", "rack", {"r1"}),
        ("idc = js and online", "idc", {"js"}),
        ("idc in (js, bj) and tag in (a, b)", "tag", {"a", "b"}),
    ],
)
def test_what_a_host_must_have(text, attribute, texts):
    found = need(parse(text, DECLARED))
    assert (found.attribute.name, found.texts) == (attribute, texts)


@pytest.mark.parametrize(
    "text",
    [
        "business != shop",
        "tag = a*",
        "tag in (a, b*)",
        "idc = js or tag = a",
        "cpus = 4",
        "online",
        "group(a)",
        "attributes.gpu",
    ],
)
def test_what_cannot_be_said_by_texts(text):
    assert need(parse(text, DECLARED)) is None


NAMES = ("g0", "g1", "g2", "g3", "g4")


@given(
    st.lists(
        st.one_of(EXPRESSIONS, st.lists(st.sampled_from([*NAMES, "idc:js", "set:blue", "global"]), max_size=2)),
        min_size=5,
        max_size=5,
    )
)
@settings(max_examples=200, deadline=None)
def test_no_catalogue_lets_a_group_contain_itself(definitions):
    """Whatever is taken in, one after the other, has an order in which each group comes after those it uses."""
    stored = []
    for name, definition in zip(NAMES, definitions, strict=True):
        known = Catalogue(stored, idcs=["js"], sets=["blue"], read=lambda text: read(text, {}))
        uses = ("g",) if isinstance(definition, str) else tuple(definition)
        if known.cycle(name, uses):
            continue
        group = Group(name=name, kind=GroupKind.CUSTOM, groups=() if isinstance(definition, str) else tuple(definition))
        stored.append(Stored(group, f"key-{name}", uses))
    catalogue = Catalogue(stored, idcs=["js"], sets=["blue"], read=lambda text: read(text, {}))
    inside = catalogue.memberships({**HOST, "groups": ["key-g0"]}, heard_after=NOW)
    assert [each.name for each in inside][:3] == ["global", "idc:js", "set:blue"]
    for each in stored:
        catalogue.being_in([each.group.name], heard_after=NOW)
    assert msgspec.json.encode(inside)
