"""Places that hosts can be in, and custom attributes that they can have."""

import pytest

from contracts import hosts, topology
from contracts.errors import Conflict, Forbidden, Invalid, NotFound
from contracts.hosts import ChangeHost
from contracts.topology import (
    AttributeRef,
    AttributeType,
    ChangeAttribute,
    ChangePlace,
    CreatePlace,
    DeclareAttribute,
    ListAttributes,
    ListPlaces,
    PlaceKind,
    PlaceRef,
)
from tests.resources.people import OPERATOR, VIEWER


async def listed(ask, **request):
    """Ids of all pages."""
    ids, after = [], ""
    while True:
        page = await ask(topology.list_places, ListPlaces(after=after, limit=2, **request), VIEWER)
        ids += [f"{place.kind}:{place.path}" for place in page.places]
        after = page.next
        if not after:
            return ids


async def refused(ask, call, request, by=None):
    with pytest.raises((Invalid, Conflict, NotFound)) as told:
        await ask(call, request, *([by] if by else []))
    return told.value


async def test_a_place_comes_with_what_it_lies_in(ask):
    await ask.places("product_line:games/mobile/chess", "rack:js/r1/a7", "rack:js/a8", "set:blue")
    assert await listed(ask, kinds=(PlaceKind.BUSINESS, PlaceKind.PRODUCT_LINE, PlaceKind.ROOM, PlaceKind.RACK)) == [
        "business:games",
        "product_line:games/mobile",
        "product_line:games/mobile/chess",
        "rack:js/a8",
        "rack:js/r1/a7",
        "room:js/r1",
    ]
    assert await listed(ask, below="js") == ["rack:js/a8", "rack:js/r1/a7", "room:js/r1"]
    assert await listed(ask, kinds=(PlaceKind.IDC,)) == ["idc:bj", "idc:js", "idc:mgmt"], "those with a relay"


async def test_a_host_goes_only_where_something_is(ask):
    await ask.places("product_line:games/mobile", "rack:js/r1/a7", "rack:bj/r9/z1", "set:blue")
    host = await ask.host("js")
    told = await refused(ask, hosts.change_host, ChangeHost(host=host, business="gamse"))
    assert (told.reason, told.details["near"]) == ("place.missing", ["games"])
    assert "There is no business gamse. Near it: games." in told.message
    for change in (
        {"business": "games", "product_line": "mobil"},
        {"product_line": "mobile"},
        {"room": "r9"},
        {"room": "r1", "rack": "z1"},
        {"rack": "a7"},
        {"host_set": "green"},
        {"business": "{'$ne': 1}"},
    ):
        assert (await refused(ask, hosts.change_host, ChangeHost(host=host, **change))).reason == "place.missing"
    assert (await ask.show(host)).revision == 1
    given = {"business": "games", "product_line": "mobile", "room": "r1", "rack": "a7", "host_set": "blue"}
    after = await ask(hosts.change_host, ChangeHost(host=host, **given), OPERATOR)
    assert {name: getattr(after, name) for name in given} == given


async def test_a_join_token_makes_the_business_it_names(ask):
    host = await ask.host("js", business="shop", product_line="cart/checkout")
    assert (await ask.show(host)).product_line == "cart/checkout"
    assert await listed(ask, kinds=(PlaceKind.BUSINESS, PlaceKind.PRODUCT_LINE)) == [
        "business:shop",
        "product_line:shop/cart",
        "product_line:shop/cart/checkout",
    ]
    for given in ({"product_line": "cart"}, {"business": "a/b"}, {"business": "a\nb"}):
        with pytest.raises(Invalid) as told:
            await ask.token("js", **given)
        assert told.value.reason == "place.bad_path"


async def test_a_place_that_is_used_stays(ask):
    await ask.places("rack:js/r1/a7", "product_line:shop/cart")
    host = await ask.host("js", business="shop", product_line="cart")
    await ask(hosts.change_host, ChangeHost(host=host, room="r1", rack="a7"))
    for kind, path, because in (
        ("rack", "js/r1/a7", "1 hosts name"),
        ("room", "js/r1", "rack js/r1/a7 lies in"),
        ("idc", "js", "has a relay"),
        ("business", "shop", "product line shop/cart lies in"),
        ("product_line", "shop/cart", "1 hosts name"),
    ):
        told = await refused(ask, topology.delete_place, PlaceRef(kind=PlaceKind(kind), path=path))
        assert (told.reason, because in told.message) == ("place.in_use", True), told.message
    assert (await ask(topology.show_place, PlaceRef(kind=PlaceKind.RACK, path="js/r1/a7"))).hosts == 1
    await ask(hosts.change_host, ChangeHost(host=host, room="", rack="", business="", product_line=""))
    for each in ("rack:js/r1/a7", "room:js/r1", "product_line:shop/cart", "business:shop"):
        kind, _, path = each.partition(":")
        await ask(topology.delete_place, PlaceRef(kind=PlaceKind(kind), path=path))
    assert await listed(ask, kinds=(PlaceKind.RACK, PlaceKind.ROOM, PlaceKind.BUSINESS)) == []


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("business", "a/b"),
        ("product_line", "a"),
        ("idc", "js/r1"),
        ("room", "r1"),
        ("rack", "a"),
        ("rack", "js/r1/a/b"),
        ("set", "a/b"),
        ("product_line", "a//b"),
        ("product_line", "/a"),
        ("business", "a\n"),
        ("business", "x" * 65),
        ("product_line", "/".join("abcdefghi")),
    ],
)
async def test_paths_that_no_place_can_have_are_refused(ask, kind, path):
    told = await refused(ask, topology.create_place, CreatePlace(kind=PlaceKind(kind), path=path))
    assert told.reason == "place.bad_path"


async def test_places_are_described_and_made_once(ask):
    await ask.places("set:blue")
    ref = {"kind": PlaceKind.SET, "path": "blue"}
    assert (await refused(ask, topology.create_place, CreatePlace(**ref))).reason == "place.exists"
    after = await ask(topology.change_place, ChangePlace(**ref, revision=1, description="first half"))
    assert (after.description, after.revision, after.changed_by) == ("first half", 2, "ada")
    told = await refused(ask, topology.change_place, ChangePlace(**ref, revision=1, description="second half"))
    assert (told.reason, told.details["revision"]) == ("place.changed_meanwhile", 2)
    for call in (topology.show_place, topology.delete_place):
        told = await refused(ask, call, PlaceRef(kind=PlaceKind.SET, path="green"))
        assert told.reason == "place.unknown"
    for call, request in ((topology.create_place, CreatePlace(**ref)), (topology.delete_place, PlaceRef(**ref))):
        with pytest.raises(Forbidden):
            await ask(call, request, OPERATOR)
    assert (await refused(ask, topology.create_place, CreatePlace(kind=PlaceKind.IDC, path="jobs"))).reason == (
        "idc.reserved"
    )


async def test_attributes_hold_values_to_their_type(ask):
    for name, kind, choices in (
        ("slots", "integer", ()),
        ("leased", "boolean", ()),
        ("vendor", "string", ()),
        ("tier", "choice", ("gold", "iron")),
    ):
        await ask(topology.declare_attribute, DeclareAttribute(name=name, type=AttributeType(kind), choices=choices))
    host = await ask.host()
    right = {"slots": 4, "leased": False, "vendor": "4", "tier": "iron"}
    assert (await ask(hosts.change_host, ChangeHost(host=host, attributes=right))).attributes == right
    for wrong in ({"slots": "4"}, {"slots": True}, {"leased": 1}, {"vendor": 4}, {"tier": "lead"}, {"tier": True}):
        told = await refused(ask, hosts.change_host, ChangeHost(host=host, attributes=wrong))
        assert told.reason == "attribute.wrong_type", wrong
    told = await refused(ask, hosts.change_host, ChangeHost(host=host, attributes={"colour": "red"}))
    assert (told.reason, "declared are leased, slots, tier, vendor" in told.message) == ("attribute.undeclared", True)
    found = await ask(topology.list_attributes, ListAttributes(limit=3), VIEWER)
    assert ([each.name for each in found.attributes], found.next) == (["leased", "slots", "tier"], "tier")


async def test_what_hosts_have_of_an_attribute_stays(ask):
    choices = ("gold", "iron", "tin")
    await ask(topology.declare_attribute, DeclareAttribute(name="tier", type=AttributeType.CHOICE, choices=choices))
    host = await ask.host()
    await ask(hosts.change_host, ChangeHost(host=host, attributes={"tier": "iron"}))
    told = await refused(ask, topology.change_attribute, ChangeAttribute(name="tier", choices=("gold",)))
    assert (told.reason, "iron" in told.message) == ("attribute.in_use", True)
    after = await ask(topology.change_attribute, ChangeAttribute(name="tier", revision=1, choices=("gold", "iron")))
    assert (after.choices, after.revision) == (("gold", "iron"), 2)
    told = await refused(ask, topology.change_attribute, ChangeAttribute(name="tier", revision=1, description="x"))
    assert told.reason == "attribute.changed_meanwhile"
    assert (await refused(ask, topology.delete_attribute, AttributeRef(name="tier"))).reason == "attribute.in_use"
    await ask(hosts.change_host, ChangeHost(host=host, attributes={}))
    await ask(topology.delete_attribute, AttributeRef(name="tier"))
    assert (await refused(ask, topology.delete_attribute, AttributeRef(name="tier"))).reason == "attribute.unknown"
    for kind, some in ((AttributeType.CHOICE, ()), (AttributeType.STRING, ("a",))):
        told = await refused(ask, topology.declare_attribute, DeclareAttribute(name="x", type=kind, choices=some))
        assert told.reason == "attribute.choices"
    await ask(topology.declare_attribute, DeclareAttribute(name="x", type=AttributeType.STRING))
    told = await refused(ask, topology.declare_attribute, DeclareAttribute(name="x", type=AttributeType.STRING))
    assert told.reason == "attribute.exists"
