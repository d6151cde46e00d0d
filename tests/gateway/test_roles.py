"""Roles that people define, who has them, and what changes when they change."""

import asyncio
import secrets

import pytest
import pytest_asyncio

from contracts.permissions import ROLES, Role
from tests.gateway.client import PASSWORD


def unique(prefix):
    return f"{prefix}-{secrets.token_hex(4)}"


@pytest_asyncio.fixture
async def role(admin):
    """The name of a new role that sees hosts of one business."""
    name = unique("role")
    made = await admin.post("/roles", {"name": name, "permissions": ["hosts:read"], "scope": {"businesses": ["shop"]}})
    assert made.status == 201, made
    return name


@pytest_asyncio.fixture
async def holder(admin, role):
    name = unique("p")
    assert (await admin.post("/people", {"name": name, "password": PASSWORD, "roles": [role]})).status == 201
    return name


async def test_a_role_is_shown_as_it_was_made_and_says_who_made_it(admin, role):
    shown = (await admin.get(f"/roles/{role}")).json
    assert shown["permissions"] == ["hosts:read"]
    assert shown["scope"] == {"businesses": ["shop"], "groups": None, "accounts": None, "script_tags": None}
    assert shown["revision"] == 1
    assert shown["changed_by"] == (await admin.get("/me")).json["name"]


async def test_lists_are_paged_and_have_the_built_in_roles_in_their_place(admin, role):
    names, after = [], ""
    while True:
        page = (await admin.get("/roles", params={"limit": "2", "after": after})).json
        assert len(page["roles"]) <= 2
        names += [each["name"] for each in page["roles"]]
        after = page["next"]
        if not after:
            break
    assert names == sorted(set(names))
    assert {role, *Role} <= set(names)
    shown = (await admin.get("/roles/viewer")).json
    assert shown["built_in"]
    assert set(shown["permissions"]) == ROLES[Role.VIEWER]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"permissions": ["hosts:fly"]}, "grants.unknown_permission"),
        ({"permissions": ["variables:resolve"]}, "grants.unknown_permission"),
        ({"permissions": []}, "bus.malformed"),
        ({"permissions": ["hosts:read"], "scope": {"groups": []}}, "grants.empty_scope"),
        ({"permissions": ["people:manage"], "scope": {"groups": ["web"]}}, "grants.indivisible"),
        ({"scope": {"businesses": [f"{n:03}" + "x" * 190 for n in range(60)]}}, "grants.too_large"),
        ({"scope": {"hosts": ["h-1"]}}, "http.unknown_field"),
        ({"scope": {"groups": "web"}}, "bus.malformed"),
    ],
)
async def test_what_cannot_be_given_is_refused_and_nothing_changes(admin, role, changed, reason):
    before = (await admin.get(f"/roles/{role}")).json
    assert (await admin.post(f"/roles/{role}", changed)).reason == reason
    assert (await admin.get(f"/roles/{role}")).json == before
    new = {"name": unique("role"), "permissions": ["hosts:read"], **changed}
    assert (await admin.post("/roles", new)).reason == reason
    assert (await admin.get(f"/roles/{new['name']}")).reason == "role.unknown"


async def test_names_are_taken_once_also_those_of_the_built_in_roles(admin, role):
    for name in (role, "admin"):
        assert (await admin.post("/roles", {"name": name, "permissions": ["runs:read"]})).reason == "role.exists"


@pytest.mark.parametrize("name", Role)
async def test_built_in_roles_stay_as_they_are(admin, name):
    assert (await admin.post(f"/roles/{name}", {"permissions": ["runs:read"]})).reason == "role.built_in"
    assert (await admin.delete(f"/roles/{name}")).reason == "role.built_in"


async def test_a_change_leaves_alone_what_it_does_not_name(admin, role):
    changed = (await admin.post(f"/roles/{role}", {"description": "sees the shop"})).json
    assert (changed["description"], changed["permissions"], changed["revision"]) == ("sees the shop", ["hosts:read"], 2)
    assert changed["scope"]["businesses"] == ["shop"]
    wider = (await admin.post(f"/roles/{role}", {"scope": {}})).json
    assert set(wider["scope"].values()) == {None}


async def test_who_lost_the_race_for_a_role_is_told_who_won(admin, role):
    assert (await admin.post(f"/roles/{role}", {"description": "first", "revision": 1})).status == 200
    lost = await admin.post(f"/roles/{role}", {"description": "second", "revision": 1})
    assert (lost.status, lost.reason) == (409, "role.changed_meanwhile")
    assert lost.json["details"]["revision"] == 2
    assert lost.json["details"]["by"] in lost.json["detail"]
    at_once = await asyncio.gather(
        *(admin.post(f"/roles/{role}", {"description": str(n), "revision": 2}) for n in range(4))
    )
    assert sorted(answer.status for answer in at_once) == [200, 409, 409, 409]


async def test_a_role_that_somebody_has_cannot_be_deleted(admin, role, holder):
    refused = await admin.delete(f"/roles/{role}")
    assert refused.reason == "role.in_use"
    assert holder in refused.json["detail"]
    assert (await admin.get(f"/roles/{role}")).status == 200
    await admin.post(f"/people/{holder}", {"roles": ["viewer"]})
    assert (await admin.delete(f"/roles/{role}")).status == 200
    assert (await admin.delete(f"/roles/{role}")).reason == "role.unknown"


async def test_a_role_is_never_deleted_while_it_is_given(admin, person):
    for _ in range(5):
        name = unique("role")
        await admin.post("/roles", {"name": name, "permissions": ["runs:read"]})
        given, deleted = await asyncio.gather(
            admin.post(f"/people/{person}", {"roles": [name]}), admin.delete(f"/roles/{name}")
        )
        assert (given.status, deleted.status) in {(200, 409), (422, 200)}


async def test_nobody_gets_a_role_that_does_not_exist(admin, person):
    assert (await admin.post(f"/people/{person}", {"roles": ["viewer", "no-such"]})).reason == "person.unknown_role"
    new = {"name": unique("p"), "password": PASSWORD, "roles": ["no-such"]}
    assert (await admin.post("/people", new)).reason == "person.unknown_role"
    assert (await admin.get(f"/people/{new['name']}")).reason == "person.unknown"
    assert (await admin.get(f"/people/{person}")).json["roles"] == ["viewer"]


async def test_grants_are_those_of_the_roles_as_they_are_now(admin, browser, role, holder):
    await browser.log_in(holder)
    assert (await browser.post("/tokens", {"label": "x"})).reason == "auth.forbidden"
    me = (await browser.get("/me")).json
    assert (me["roles"], me["grants"][0]["permissions"]) == ([role], ["hosts:read"])
    assert me["grants"][0]["scope"]["businesses"] == ["shop"]
    await admin.post(f"/roles/{role}", {"permissions": ["runs:read", "tokens:own"], "scope": {"groups": ["web"]}})
    me = (await browser.get("/me")).json
    assert me["grants"][0]["permissions"] == ["runs:read", "tokens:own"]
    assert me["grants"][0]["scope"] == {"businesses": None, "groups": ["web"], "accounts": None, "script_tags": None}
    assert (await browser.get("/tokens")).status == 200
    await admin.post(f"/people/{holder}", {"roles": []})
    assert (await browser.get("/me")).json["grants"] == []
    assert (await browser.get("/tokens")).reason == "auth.forbidden"
    assert (await browser.post("/logout")).status == 200


@pytest.mark.parametrize("bound", ["groups", "businesses", "accounts"])
async def test_a_scope_names_what_exists(admin, role, other_names, monkeypatch, bound):
    monkeypatch.setitem(other_names.unknown, "shpo", ("shop",))
    scope = {bound: ["shop", "shpo"]}
    before = (await admin.get(f"/roles/{role}")).json
    for path, body in (("/roles", {"name": unique("role"), "permissions": ["hosts:read"]}), (f"/roles/{role}", {})):
        refused = await admin.post(path, {**body, "scope": scope})
        assert (refused.status, refused.reason) == (422, "name.unknown")
        assert "shpo. Near it: shop. Nothing was changed." in refused.json["detail"]
    assert (await admin.get(f"/roles/{role}")).json == before


async def test_a_role_that_something_names_is_not_deleted(admin, role, other_names, monkeypatch):
    monkeypatch.setitem(other_names.uses, role, "the account deploy")
    refused = await admin.delete(f"/roles/{role}")
    assert (refused.reason, "the account deploy" in refused.json["detail"]) == ("role.in_use", True)
    monkeypatch.delitem(other_names.uses, role)
    assert (await admin.delete(f"/roles/{role}")).status == 200
