"""Making groups and changing them: what is kept, what is refused, and that the faster of two wins."""

import asyncio

import msgspec
import pytest

from contracts import groups, hosts, topology
from contracts.errors import Conflict, Forbidden, Invalid, NotFound
from contracts.groups import (
    ChangeGroup,
    CreateGroup,
    GroupKind,
    GroupRef,
    ListGroups,
    ListMembers,
    MoveHosts,
    PreviewExpression,
)
from contracts.hosts import ChangeHost, HostState, RevokeHost
from contracts.topology import AttributeRef, AttributeType, DeclareAttribute, PlaceKind, PlaceRef
from tests.resources.conftest import Keeping
from tests.resources.people import OPERATOR, VIEWER


async def members(ask, name, **more):
    return [host.id for host in (await ask(groups.list_members, ListMembers(name=name, **more))).hosts]


async def refused(kind, reason, asking):
    with pytest.raises(kind) as told:
        await asking
    assert told.value.reason == reason, told.value
    return told.value


async def test_a_static_group_has_the_hosts_that_were_put_in(ask):
    a, b, c = sorted([await ask.host() for _ in range(3)])
    made = await ask(groups.create_group, CreateGroup(name="web", hosts=(b, a), tags=("x", "a")), OPERATOR)
    assert (made.kind, made.number, made.tags, made.revision, made.changed_by) == (
        GroupKind.CUSTOM,
        100,
        ("a", "x"),
        1,
        "olga",
    )
    assert await members(ask, "web") == [a, b]
    moved = await ask(groups.add_hosts, MoveHosts(name="web", hosts=(c, a), revision=1))
    assert (moved.revision, moved.changed_by) == (2, "ada")
    await ask(groups.remove_hosts, MoveHosts(name="web", hosts=(b, "h-none")))
    assert await members(ask, "web") == [a, c]
    assert await ask(groups.show_group, GroupRef(name="web")) == msgspec.structs.replace(
        moved, revision=3, changed_at=(await ask(groups.show_group, GroupRef(name="web"))).changed_at
    )


async def test_a_dynamic_group_follows_its_hosts(ask):
    host = await ask.host(tags=("web",))
    await ask.group("web", expression="tag = web and state = in_service")
    assert await members(ask, "web") == [host]
    await ask(hosts.change_host, ChangeHost(host=host, state=HostState.FAULTY))
    assert await members(ask, "web") == []


async def test_hosts_that_end_leave_their_groups(ask):
    retired, revoked, stays = [await ask.host() for _ in range(3)]
    await ask.group("web", hosts=(retired, revoked, stays))
    await ask.group("any", expression="state in (in_service, retired, standby)")
    await ask(hosts.change_host, ChangeHost(host=retired, state=HostState.RETIRED))
    await ask(hosts.revoke_host, RevokeHost(host=revoked, why="test"))
    assert await members(ask, "web") == await members(ask, "any") == [stays]
    await refused(Invalid, "group.unknown_host", ask(groups.add_hosts, MoveHosts(name="web", hosts=(retired,))))
    await ask(hosts.change_host, ChangeHost(host=retired, state=HostState.STANDBY))
    assert await members(ask, "web") == [stays], "who comes back may be for something else"
    assert await members(ask, "any") == sorted([retired, stays])


async def test_a_host_that_does_not_exist_is_told_and_nothing_is_made(ask):
    host = await ask.host()
    error = await refused(Invalid, "group.unknown_host", ask.group("web", hosts=(host, "h-none", "*")))
    assert error.details["unknown"] == ["h-none", "*"]
    await refused(NotFound, "group.unknown", ask(groups.show_group, GroupRef(name="web")))


async def test_some_groups_exist_by_themselves(ask):
    a, b = await ask.host("js"), await ask.host("bj")
    await ask.places("set:blue")
    await ask(hosts.change_host, ChangeHost(host=b, host_set="blue"))
    found = (await ask(groups.list_groups, ListGroups())).groups
    assert [(each.name, each.kind) for each in found] == [
        ("global", "global"), ("idc:bj", "idc"), ("idc:js", "idc"), ("idc:mgmt", "idc"), ("set:blue", "set"),
    ]  # fmt: skip
    assert await members(ask, "global") == sorted([a, b])
    assert (await members(ask, "idc:js"), await members(ask, "set:blue")) == ([a], [b])
    for name in ("global", "idc:js", "set:blue"):
        for asking in (
            ask(groups.change_group, ChangeGroup(name=name, description="mine")),
            ask(groups.delete_group, GroupRef(name=name)),
            ask(groups.add_hosts, MoveHosts(name=name, hosts=(a,))),
        ):
            await refused(Invalid, "group.reserved", asking)
    await refused(NotFound, "group.unknown", ask(groups.show_group, GroupRef(name="set:green")))


@pytest.mark.parametrize("name", ["global", "preview", "of-hosts"])
async def test_names_that_drover_uses_cannot_be_taken(ask, name):
    await refused(Invalid, "group.reserved", ask.group(name))


@pytest.mark.parametrize("name", ["", "idc:js", "a/b", "../x", ".", "..", "-a", "a b", "a\n", "$ne", "a" * 65, "组"])
async def test_names_that_nobody_could_mean(ask, name):
    await refused(Invalid, "bus.malformed", ask.group(name))


async def test_a_name_is_taken_once(ask):
    outcomes = await asyncio.gather(*(ask.group("web") for _ in range(5)), return_exceptions=True)
    assert [str(each).split(":")[0] for each in outcomes if isinstance(each, Exception)] == ["group.exists"] * 4


async def test_a_group_that_takes_the_name_of_a_deleted_one_has_none_of_its_hosts(ask):
    host = await ask.host()
    await ask.group("web", hosts=(host,))
    stands = await ask.database["hosts"].find_one({"_id": host})
    await ask(groups.delete_group, GroupRef(name="web"))
    assert "groups" not in stands or await ask.database["hosts"].find_one({"_id": host, "groups": []})
    await ask.database["hosts"].update_one({"_id": host}, {"$set": {"groups": stands["groups"]}})
    await ask.group("web")
    assert await members(ask, "web") == []


async def test_a_change_changes_what_it_names_only(ask):
    await ask.group("a")
    made = await ask.group("web", description="d", tags=("t",), number=7, groups=("a",))
    after = await ask(groups.change_group, ChangeGroup(name="web", number=8))
    assert after == msgspec.structs.replace(made, number=8, revision=2, changed_at=after.changed_at)
    same = await ask(groups.change_group, ChangeGroup(name="web", number=8, tags=("t", "t")))
    assert same == after
    emptied = await ask(groups.change_group, ChangeGroup(name="web", groups=(), tags=(), description=""))
    assert (emptied.groups, emptied.tags, emptied.description, emptied.revision) == ((), (), "", 3)


async def test_with_a_revision_the_slower_of_two_is_refused_and_told_who_was_faster(ask):
    await ask.group("web")
    changes = [ChangeGroup(name="web", revision=1, number=n) for n in range(6)]
    outcomes = await asyncio.gather(
        *(ask(groups.change_group, each, OPERATOR) for each in changes), return_exceptions=True
    )
    lost = [each for each in outcomes if isinstance(each, Conflict)]
    assert len(lost) == 5
    assert {(each.reason, each.details["revision"], each.details["by"]) for each in lost} == {
        ("group.changed_meanwhile", 2, "olga")
    }
    host = await ask.host()
    await refused(
        Conflict, "group.changed_meanwhile", ask(groups.add_hosts, MoveHosts(name="web", hosts=(host,), revision=1))
    )
    assert await members(ask, "web") == []


async def test_without_a_revision_all_changes_happen(ask):
    await ask.group("web")
    changes = [{"number": 5}, {"description": "d"}, {"tags": ("t",)}]
    await asyncio.gather(*(ask(groups.change_group, ChangeGroup(name="web", **each)) for each in changes))
    after = await ask(groups.show_group, GroupRef(name="web"))
    assert (after.number, after.description, after.tags, after.revision) == (5, "d", ("t",), 4)


async def test_a_group_is_static_or_dynamic_and_stays_so(ask):
    host = await ask.host()
    await ask.group("s")
    await ask.group("d", expression="online")
    for asking in (
        ask.group("x", expression="online", hosts=(host,)),
        ask.group("x", expression="online", groups=("s",)),
        ask(groups.change_group, ChangeGroup(name="s", expression="online")),
        ask(groups.change_group, ChangeGroup(name="d", expression="")),
        ask(groups.change_group, ChangeGroup(name="d", groups=("s",))),
        ask(groups.add_hosts, MoveHosts(name="d", hosts=(host,))),
        ask(groups.remove_hosts, MoveHosts(name="d", hosts=(host,))),
    ):
        await refused(Invalid, "group.dynamic", asking)


async def test_groups_in_groups(ask):
    a, b, c = [await ask.host(idc, tags=(tag,)) for idc, tag in (("js", "web"), ("bj", "db"), ("bj", "web"))]
    await ask.group("by-hand", hosts=(a,))
    await ask.group("db", expression="tag = db")
    await ask.group("both", groups=("by-hand", "db"))
    await ask.group("outer", groups=("both", "idc:js"))
    await ask.group("rest", expression='group(idc:bj) and not group("outer")')
    assert await members(ask, "both") == await members(ask, "outer") == sorted([a, b])
    assert await members(ask, "rest") == [c]


async def test_a_group_that_contains_itself_is_refused_with_its_path(ask):
    """G3 of the bad inputs."""
    await ask.group("a")
    await ask.group("b", groups=("a",))
    await ask.group("c", expression='online and not group("b")')
    for uses, path in ((("a",), ["a", "a"]), (("b",), ["a", "b", "a"]), (("c",), ["a", "c", "b", "a"])):
        error = await refused(Invalid, "group.cycle", ask(groups.change_group, ChangeGroup(name="a", groups=uses)))
        assert error.details["path"] == path
        assert " → ".join(path) in error.message
    own = ask.group("d", expression="not group(d)")
    assert (await refused(Invalid, "expression.unknown_group", own)).details["column"] == 11
    await ask.group("d", expression="online")
    changed = ask(groups.change_group, ChangeGroup(name="d", expression="not group(d)"))
    assert (await refused(Invalid, "group.cycle", changed)).details["path"] == ["d", "d"]


async def test_two_changes_that_together_make_a_cycle_cannot_both_pass(ask):
    for name in ("a", "b"):
        await ask.group(name)
    for _ in range(10):
        outcomes = await asyncio.gather(
            ask(groups.change_group, ChangeGroup(name="a", groups=("b",))),
            ask(groups.change_group, ChangeGroup(name="b", groups=("a",))),
            return_exceptions=True,
        )
        assert [each.reason for each in outcomes if isinstance(each, Exception)] == ["group.cycle"], outcomes
        for name in ("a", "b"):
            await ask(groups.change_group, ChangeGroup(name=name, groups=()))


async def test_a_group_that_others_use_is_not_deleted(ask):
    await ask.group("a")
    await ask.group("b", groups=("a",))
    await ask.group("c", expression="not group(a)")
    error = await refused(Conflict, "group.in_use", ask(groups.delete_group, GroupRef(name="a")))
    assert error.details["uses"] == ["b", "c"]
    for name in ("b", "c", "a"):
        await ask(groups.delete_group, GroupRef(name=name))
    await refused(NotFound, "group.unknown", ask(groups.delete_group, GroupRef(name="a")))


async def test_a_group_that_other_services_name_is_not_deleted(ask, monkeypatch):
    await ask.group("a")
    monkeypatch.setitem(Keeping.named, "a", "the account deploy")
    error = await refused(Conflict, "group.in_use", ask(groups.delete_group, GroupRef(name="a")))
    assert "a is used by the account deploy" in error.message
    monkeypatch.delitem(Keeping.named, "a")
    await ask(groups.delete_group, GroupRef(name="a"))


async def test_what_a_group_speaks_of_is_not_deleted(ask):
    await ask.places("set:blue", "set:green")
    for name, kind in (
        ("slots", AttributeType.INTEGER),
        ("gpu", AttributeType.BOOLEAN),
        ("owner", AttributeType.STRING),
    ):
        await ask(topology.declare_attribute, DeclareAttribute(name=name, type=kind))
    host = await ask.host()
    await ask(hosts.change_host, ChangeHost(host=host, attributes={"slots": 4, "gpu": True, "owner": "ann"}))
    await ask.group("big", expression="attributes.slots >= 4 and attributes.gpu and attr.owner = a*")
    await ask.group("blue", groups=("set:blue",))
    await ask.group("green", expression="not group(set:green)")
    assert await members(ask, "big") == await members(ask, "green") == [host]
    await ask(hosts.change_host, ChangeHost(host=host, attributes={}))
    assert await members(ask, "big") == []
    error = await refused(Conflict, "attribute.in_use", ask(topology.delete_attribute, AttributeRef(name="gpu")))
    assert "The group big asks for gpu" in error.message
    for name in ("blue", "green"):
        error = await refused(
            Conflict, "place.in_use", ask(topology.delete_place, PlaceRef(kind=PlaceKind.SET, path=name))
        )
        assert f"The group {name} names the set {name}" in error.message
        await ask(groups.delete_group, GroupRef(name=name))
        await ask(topology.delete_place, PlaceRef(kind=PlaceKind.SET, path=name))
    wrong = ask(groups.preview_expression, PreviewExpression(expression="attributes.slots = four"))
    assert (await refused(Invalid, "expression.malformed", wrong)).details["column"] == 20
    await ask(groups.delete_group, GroupRef(name="big"))
    await ask(topology.delete_attribute, AttributeRef(name="gpu"))
    gone = ask(groups.preview_expression, PreviewExpression(expression="not attributes.gpu"))
    assert (await refused(Invalid, "expression.unknown_attribute", gone)).details["column"] == 5


async def test_a_group_is_not_used_and_deleted_at_once(ask):
    for _ in range(5):
        await ask.group("a")
        outcomes = await asyncio.gather(
            ask(groups.delete_group, GroupRef(name="a")), ask.group("b", groups=("a",)), return_exceptions=True
        )
        assert [each.reason for each in outcomes if isinstance(each, Exception)] in (
            ["group.in_use"],
            ["group.unknown_member"],
        )
        for name in ("b", "a"):
            await asyncio.gather(ask(groups.delete_group, GroupRef(name=name)), return_exceptions=True)


@pytest.mark.parametrize(
    ("expression", "reason", "column"),
    [
        ("(" * 10_000, "expression.too_large", None),
        ("x" * 500_000, "expression.too_large", None),
        (" or ".join(["tag = a"] * 10_000), "expression.too_large", None),
        ("not nosuch", "expression.unknown_attribute", 5),
        ("not labels.nosuch = x", "expression.unknown_label", 5),
        ('not labels."no.such" = x', "expression.unknown_label", 5),
        ("not group(nosuch)", "expression.unknown_group", 11),
        ("not group(set:nosuch)", "expression.unknown_group", 11),
        ("not attributes.nosuch = 1", "expression.unknown_attribute", 5),
        ("tag = (a+)+$", "expression.malformed", 7),
        ("tag", "expression.malformed", 4),
    ],
)
async def test_bad_expressions_are_refused_everywhere_and_mean_never_everything(ask, expression, reason, column):
    """G1, G2 and G4 of the bad inputs."""
    await ask.host()
    await ask.group("d", expression="online")
    for asking in (
        ask(groups.preview_expression, PreviewExpression(expression=expression)),
        ask.group("x", expression=expression),
        ask(groups.change_group, ChangeGroup(name="d", expression=expression)),
        ask.resolve(where=expression),
        ask(hosts.list_hosts, hosts.ListHosts(where=expression)),
    ):
        error = await refused(Invalid, reason, asking)
        assert error.details.get("column", column) == column or column is None


async def test_preview_counts_and_shows_the_first(ask):
    made = sorted([await ask.host(labels={"env": "prod", "a.b": "c"}) for _ in range(3)])
    await ask.host()
    seen = await ask(
        groups.preview_expression, PreviewExpression(expression="labels.env = p* and labels.a.b = c", limit=2), VIEWER
    )
    assert ([host.id for host in seen.hosts], seen.total, seen.next) == (made[:2], 3, made[1])


async def test_members_come_in_pages(ask):
    made = sorted([await ask.host() for _ in range(5)])
    await ask.group("web", hosts=tuple(made))
    first = await ask(groups.list_members, ListMembers(name="web", limit=2))
    assert ([host.id for host in first.hosts], first.total, first.next) == (made[:2], 5, made[1])
    second = await ask(groups.list_members, ListMembers(name="web", limit=2, after=first.next))
    assert ([host.id for host in second.hosts], second.total) == (made[2:4], None)
    assert await members(ask, "web", limit=2, after=second.next) == made[4:]


async def test_groups_are_found_by_beginning_tag_and_kind(ask):
    for name, tags in (("web-1", ("a",)), ("Web-2", ("b",)), ("db", ("a", "b"))):
        await ask.group(name, tags=tags)

    async def found(**request):
        names, after = [], ""
        while True:
            page = await ask(groups.list_groups, ListGroups(limit=1, after=after, **request), VIEWER)
            names += [each.name for each in page.groups]
            after = page.next
            if not after:
                return names

    assert await found(kinds=(GroupKind.CUSTOM,)) == ["Web-2", "db", "web-1"]
    assert await found(search="WEB") == ["Web-2", "web-1"]
    assert await found(tags=("a",)) == ["db", "web-1"]
    assert await found(tags=("a", "b"), search="w") == ["Web-2", "web-1"]
    assert await found(kinds=(GroupKind.GLOBAL, GroupKind.SET)) == ["global"]
    assert await found(search="^") == []


async def test_viewers_change_nothing(ask):
    await ask.group("web")
    for call, request in (
        (groups.create_group, CreateGroup(name="x")),
        (groups.change_group, ChangeGroup(name="web")),
        (groups.delete_group, GroupRef(name="web")),
        (groups.add_hosts, MoveHosts(name="web", hosts=("h-1",))),
        (groups.remove_hosts, MoveHosts(name="web", hosts=("h-1",))),
    ):
        await refused(Forbidden, "auth.forbidden", ask(call, request, VIEWER))


async def test_groups_of_groups_that_are_too_large_together_are_refused(ask):
    """Each expression is small; what they say together would not be."""
    await ask.group("g0", expression=f"tag in ({','.join(['a'] * 400)})")
    for n in range(1, 4):
        await ask.group(f"g{n}", expression=" or ".join([f"group(g{n - 1})"] * 20))
    await refused(Invalid, "group.too_large", ask.resolve(groups=("g3",)))
    await refused(Invalid, "group.too_large", ask(groups.list_members, ListMembers(name="g3")))
    await ask.group("d0", expression="not " * 30 + "online")
    for n in range(1, 5):
        await ask.group(f"d{n}", expression="not " * 30 + f"group(d{n - 1})")
    assert await members(ask, "d1") == []
    await refused(Invalid, "group.too_large", ask.resolve(groups=("d4",)))
