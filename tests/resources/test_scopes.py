"""Who sees, lists, groups and targets which hosts. What lies outside is answered like what does not exist."""

import msgspec
import pytest
import pytest_asyncio

from contracts import edits, groups, hosts, topology
from contracts.edits import BulkEdit
from contracts.errors import Forbidden, Invalid, NotFound
from contracts.groups import (
    AskGroups,
    ChangeGroup,
    CreateGroup,
    GroupRef,
    ListGroups,
    ListMembers,
    MoveHosts,
    PreviewExpression,
)
from contracts.hosts import ChangeHost, HostFilter, HostRef, ListHosts, ResolveTargets, RevokeHost, Targets
from contracts.people import Principal
from contracts.permissions import EVERYTHING, PERMISSIONS, Grant, Scope
from contracts.topology import ListPlaces, PlaceKind, PlaceRef
from services.resources.hosts.criteria import NOBODY
from services.resources.hosts.visibility import is_bounded, sees_group, visible
from services.resources.topology.model import Spot

EVERY_PERMISSION = tuple(PERMISSIONS)


def person(*scopes, permissions=EVERY_PERMISSION):
    grants = tuple(Grant(permissions=permissions, scope=scope) for scope in scopes)
    return Principal(kind="person", name="pat", grants=grants, via="session")


SHOP = person(Scope(businesses=("shop",)))
WEB = person(Scope(groups=("web",)))
SHOP_WEB = person(Scope(businesses=("shop",), groups=("web",)))
SHOP_OR_WEB = person(Scope(businesses=("shop",)), Scope(groups=("web",)))
ALL = person(Scope(businesses=("none",)), EVERYTHING)
NONE = person(Scope(businesses=()), Scope(groups=()), Scope(groups=("gone",)))


class TestCondition:
    """Pure."""

    def test_bounds_of_a_scope_hold_together_and_of_scopes_any_will_do(self):
        def in_groups(names):
            return {"in": list(names)}

        shop, web = {"business": {"$in": ["shop"]}}, {"in": ["web"]}
        assert visible([EVERYTHING], in_groups) == {}
        assert visible([Scope(businesses=("shop",)), Scope(accounts=("root",))], in_groups) == {}
        assert visible([], in_groups) == NOBODY
        assert visible([Scope(businesses=("shop",), groups=("web",))], in_groups) == {"$or": [{"$and": [shop, web]}]}
        two = visible([Scope(businesses=("shop",)), Scope(groups=("web",))], in_groups)
        assert two == {"$or": [{"$and": [shop]}, {"$and": [web]}]}

    def test_only_bounds_on_hosts_bound_hosts(self):
        assert not is_bounded([Scope(accounts=("app",), script_tags=("x",))])
        assert is_bounded([Scope(businesses=("shop",)), Scope(groups=())])
        assert is_bounded([])

    def test_groups_are_seen_by_name(self):
        assert sees_group([Scope(businesses=("shop",))], "web")
        assert sees_group([Scope(groups=("web",))], "web")
        assert not sees_group([Scope(groups=("web",))], "global")
        assert not sees_group([], "web")


@pytest_asyncio.fixture
async def herd(ask):
    """Short name → id: a and b are of the shop, b and c in the group web, d is neither."""
    given = {"a": "shop", "b": "shop", "c": "bank", "d": "bank"}
    ids = {name: await ask.host(business=business, hostname=name) for name, business in given.items()}
    await ask.group("web", expression="hostname in (b, c)")
    await ask.group("other", hosts=tuple(ids.values()))
    return ids


CASES = pytest.mark.parametrize(
    ("who", "seen"), [(SHOP, "ab"), (WEB, "bc"), (SHOP_WEB, "b"), (SHOP_OR_WEB, "abc"), (ALL, "abcd"), (NONE, "")]
)


@CASES
async def test_lists_leave_out_what_lies_outside(ask, herd, who, seen):
    found = (await ask(hosts.list_hosts, ListHosts(), who)).hosts
    assert sorted(host.hostname for host in found) == list(seen)
    found = (await ask(hosts.list_hosts, ListHosts(where="not hostname = b"), who)).hosts
    assert sorted(host.hostname for host in found) == [name for name in seen if name != "b"]
    told = (await ask(groups.groups_of_hosts, AskGroups(hosts=tuple(herd.values())), who)).hosts
    assert sorted(each.host.hostname for each in told) == list(seen)
    counted = await ask(groups.preview_expression, PreviewExpression(expression="id = *"), who)
    assert counted.total == len(seen)


@CASES
async def test_a_host_outside_is_answered_like_one_that_does_not_exist(ask, herd, who, seen):
    for name, host in herd.items():
        for call, request in (
            (hosts.show_host, HostRef(host=host)),
            (hosts.change_host, ChangeHost(host=host, labels={"x": "y"})),
        ):
            if name in seen:
                await ask(call, request, who)
                continue
            said = await _refusal(ask(call, request, who), NotFound)
            none = await _refusal(ask(call, msgspec.structs.replace(request, host="h-none"), who), NotFound)
            assert (said.reason, said.message.replace(host, "h-none")) == (none.reason, none.message)


async def test_a_host_outside_is_not_revoked(ask, herd):
    await _refusal(ask(hosts.revoke_host, RevokeHost(host=herd["d"], why="x"), SHOP), NotFound)
    assert not (await ask.show(herd["d"])).revoked
    assert (await ask(hosts.revoke_host, RevokeHost(host=herd["a"], why="x"), SHOP)).revoked


@CASES
async def test_targets_are_chosen_among_hosts_inside(ask, herd, who, seen):
    names = {host: name for name, host in herd.items()}
    for targets in (Targets(all=True), Targets(where="id = *"), Targets(ids=tuple(herd.values()), allow_unknown=True)):
        asked = ask(hosts.resolve_targets, ResolveTargets(targets=targets), who)
        if seen:
            answer = await asked
            assert "".join(sorted(names[host.id] for host in answer.hosts)) == seen
            assert sorted(names[host] for host in answer.unknown) == (
                sorted(set("abcd") - set(seen)) if targets.ids else []
            )
        else:
            await _refusal(asked, Invalid)
    outside = sorted(set("abcd") - set(seen))
    for targets in (Targets(ids=tuple(herd.values())), Targets(all=True, exclude=HostFilter(ids=tuple(herd.values())))):
        if outside:
            error = await _refusal(ask(hosts.resolve_targets, ResolveTargets(targets=targets), who), Invalid)
            assert (error.reason, sorted(names[host] for host in error.details["unknown"])) == (
                "targets.unknown",
                outside,
            )


async def test_an_empty_set_does_not_tell_how_many_hosts_lie_outside(ask, herd):
    asked = ResolveTargets(targets=Targets(where="hostname = d"))
    assert "leaves none of 2" in (await _refusal(ask(hosts.resolve_targets, asked, SHOP), Invalid)).message


async def test_what_was_resolved_for_one_is_not_shown_to_another(ask, herd):
    whole = await ask(hosts.resolve_targets, ResolveTargets(targets=Targets(all=True), limit=1), ALL)
    following = ResolveTargets(targets=Targets(all=True), limit=10, after=whole.next)
    assert len((await ask(hosts.resolve_targets, following, ALL)).hosts) == 3
    assert {host.hostname for host in (await ask(hosts.resolve_targets, following, SHOP)).hosts} <= {"a", "b"}


async def test_a_service_asks_in_the_scopes_of_somebody_and_is_believed_alone(ask, herd, plane_jobs):
    def asked(scopes):
        return ResolveTargets(targets=Targets(all=True), scopes=scopes)

    shop = (Scope(businesses=("shop",)),)
    assert len((await plane_jobs.call(hosts.resolve_targets, asked(None))).hosts) == 4
    assert len((await plane_jobs.call(hosts.resolve_targets, asked(shop))).hosts) == 2
    await _refusal(plane_jobs.call(hosts.resolve_targets, asked(())), Invalid)
    wider = await ask(hosts.resolve_targets, asked((EVERYTHING,)), SHOP)
    assert len(wider.hosts) == 2


@pytest_asyncio.fixture
async def plane_jobs(nats):
    from tests.conftest import service_bus

    async with service_bus(nats, "jobs") as bus:
        yield bus


async def test_groups_outside_do_not_exist(ask, herd):
    listed = (await ask(groups.list_groups, ListGroups(), WEB)).groups
    assert [each.name for each in listed] == ["web"]
    assert {"web", "other", "global"} <= {
        each.name for each in (await ask(groups.list_groups, ListGroups(), SHOP)).groups
    }
    for name in ("other", "global", "none"):
        for call, request in (
            (groups.show_group, GroupRef(name=name)),
            (groups.list_members, ListMembers(name=name)),
            (groups.change_group, ChangeGroup(name=name, number=1)),
            (groups.delete_group, GroupRef(name=name)),
            (groups.add_hosts, MoveHosts(name=name, hosts=(herd["b"],))),
        ):
            said = await _refusal(ask(call, request, WEB), NotFound)
            assert (said.reason, said.message) == ("group.unknown", f"There is no group {name}.")
        for asking in (
            ask(groups.preview_expression, PreviewExpression(expression=f"not group({name})"), WEB),
            ask(hosts.resolve_targets, ResolveTargets(targets=Targets(groups=(name,))), WEB),
            ask(
                hosts.resolve_targets,
                ResolveTargets(targets=Targets(all=True, exclude=HostFilter(groups=(name,)))),
                WEB,
            ),
            ask(hosts.list_hosts, ListHosts(groups=(name,)), WEB),
        ):
            assert (await _refusal(asking, Invalid)).reason in {"expression.unknown_group", "group.unknown_member"}
    told = (await ask(groups.groups_of_hosts, AskGroups(hosts=(herd["b"],)), WEB)).hosts
    assert [each.name for each in told[0].groups] == ["web"]


async def test_members_outside_are_left_out(ask, herd):
    seen = await ask(groups.list_members, ListMembers(name="other"), SHOP)
    assert (sorted(host.hostname for host in seen.hosts), seen.total) == (["a", "b"], 2)
    nothing = person(EVERYTHING, permissions=("groups:read",))
    assert (await ask(groups.list_members, ListMembers(name="other"), nothing)).total == 0


@pytest.mark.parametrize("who", [SHOP, WEB, SHOP_OR_WEB, NONE])
async def test_nobody_with_bounds_widens_them_by_changing_a_group(ask, herd, who):
    for call, request in (
        (groups.create_group, CreateGroup(name="mine", expression="id = *")),
        (groups.change_group, ChangeGroup(name="web", expression="id = *")),
        (groups.add_hosts, MoveHosts(name="other", hosts=(herd["b"],))),
        (groups.remove_hosts, MoveHosts(name="other", hosts=(herd["b"],))),
        (groups.delete_group, GroupRef(name="web")),
    ):
        error = await _refusal(ask(call, request, who), (Forbidden, NotFound))
        assert error.reason in {"auth.forbidden", "group.unknown"}
    assert (await ask(groups.show_group, GroupRef(name="web"))).revision == 1


@CASES
async def test_places_do_not_tell_of_businesses_and_hosts_outside(ask, herd, who, seen):
    await ask.places("product_line:shop/cart", "product_line:bank/cart", "product_line:shopping/cart", "set:blue")
    for host in herd.values():
        await ask(hosts.change_host, ChangeHost(host=host, host_set="blue"))
    listed = {str(Spot(each.kind, each.path)) for each in (await ask(topology.list_places, ListPlaces(), who)).places}
    assert {"idc js", "set blue"} <= listed
    known = {SHOP: {"shop"}, SHOP_WEB: {"shop"}}.get(who, {"shop", "bank", "shopping"})
    for name in ("shop", "bank", "shopping", "gone"):
        for ref in (
            PlaceRef(kind=PlaceKind.BUSINESS, path=name),
            PlaceRef(kind=PlaceKind.PRODUCT_LINE, path=f"{name}/cart"),
        ):
            spot = str(Spot(ref.kind, ref.path))
            assert (spot in listed) == (name in known)
            if name in known:
                await ask(topology.show_place, ref, who)
                continue
            error = await _refusal(ask(topology.show_place, ref, who), NotFound)
            assert (error.reason, error.message) == ("place.unknown", f"There is no {spot}.")
    for ref in (PlaceRef(kind=PlaceKind.IDC, path="js"), PlaceRef(kind=PlaceKind.SET, path="blue")):
        assert (await ask(topology.show_place, ref, who)).hosts == len(seen)
    if "shop" in known:
        shop = PlaceRef(kind=PlaceKind.BUSINESS, path="shop")
        assert (await ask(topology.show_place, shop, who)).hosts == len({*"ab"} & {*seen})
    if "b" in seen:
        missing = ChangeHost(host=herd["b"], product_line="carts")
        assert (await _refusal(ask(hosts.change_host, missing, who), Invalid)).details["near"] == ["shop/cart"]


BOTH = Scope(businesses=("shop", "bank"))
CHANGES, RUNS = ("hosts:change",), ("hosts:read", "runs:start")


def grants(*given, **more):
    found = tuple(Grant(permissions=permissions, scope=scope) for permissions, scope in given)
    return Principal(kind="person", name="pat", grants=found, via="session", **more)


@pytest.mark.parametrize(
    ("who", "may"),
    [
        (grants((CHANGES, EVERYTHING)), True),
        (grants((CHANGES, BOTH), (RUNS, EVERYTHING)), True),
        (grants((CHANGES, BOTH), (RUNS, BOTH), (RUNS, Scope(businesses=("shop",)))), True),
        (grants((CHANGES, EVERYTHING), roles=("operator",), limited=True), True),
        (SHOP_OR_WEB, False),
        (grants((CHANGES, Scope(businesses=("shop",)))), False),
        (grants((CHANGES, EVERYTHING), (RUNS, Scope(businesses=("bank",)))), False),
        (grants((CHANGES, EVERYTHING), (RUNS, Scope(groups=("web",)))), False),
        (grants((CHANGES, EVERYTHING), roles=("of-the-shop",), limited=True), False),
    ],
)
async def test_nobody_carries_a_host_over_a_bound(ask, herd, who, may):
    one, many = ChangeHost(host=herd["a"], business="bank"), BulkEdit(filter=HostFilter(ids=(herd["b"],)))
    many = msgspec.structs.replace(many, business="bank")
    if may:
        assert (await ask(hosts.change_host, one, who)).business == "bank"
    else:
        error = await _refusal(ask(hosts.change_host, one, who), Forbidden)
        assert (error.reason, error.message) == ("auth.forbidden", "pat may not give hosts to bank.")
        emptied = await _refusal(ask(hosts.change_host, ChangeHost(host=herd["a"], business=""), who), Forbidden)
        assert emptied.message == "pat may not give hosts to no business."
    [edit] = (await ask(edits.edit_hosts, many, who)).hosts
    assert (edit.outcome, edit.reason) == (("changed", "") if may else ("refused", "auth.forbidden"))
    same = await ask(hosts.change_host, ChangeHost(host=herd["b"], business="bank" if may else "shop", labels={}), who)
    assert same.business == ("bank" if may else "shop")


async def _refusal(asking, kind):
    with pytest.raises(kind) as told:
        await asking
    return told.value
