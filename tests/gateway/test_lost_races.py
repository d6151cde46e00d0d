"""Whoever named a revision that is not the newest is told what others changed since, of everything that has one."""

import secrets

import pytest

from tests.gateway.client import PASSWORD
from tests.races import changes, revised

PERSON = {"roles": (["viewer"], ["operator"])}
ROLE = {"permissions": (["hosts:read"], ["runs:read"]), "scope.businesses": (["shop"], ["games"])}

LOSE = [
    ("gateway.people.change", "/people/{}", {"roles": ["admin"]}, PERSON),
    ("gateway.people.disable", "/people/{}/disable", {}, PERSON),
    ("gateway.people.enable", "/people/{}/enable", {}, PERSON),
    ("gateway.people.set_password", "/people/{}/password", {"password": PASSWORD}, PERSON),
    ("gateway.roles.change", "/roles/{}", {"description": "x"}, ROLE),
]


@pytest.mark.parametrize(("call", "path", "body", "expected"), LOSE)
async def test_whoever_lost_a_race_is_told_who_changed_what(admin, call, path, body, expected):
    name = f"race-{secrets.token_hex(4)}"
    if expected is PERSON:
        await admin.post("/people", {"name": name, "password": PASSWORD, "roles": ["viewer"]})
        changed = await admin.post(f"/people/{name}", {"roles": ["operator"]})
    else:
        made = {"name": name, "permissions": ["hosts:read"], "scope": {"businesses": ["shop"]}}
        await admin.post("/roles", made)
        after = {"permissions": ["runs:read"], "scope": {"businesses": ["games"]}}
        changed = await admin.post(f"/roles/{name}", after)
    lost = await admin.post(path.format(name), {**body, "revision": 1})
    assert (lost.status, lost.reason.rpartition(".")[2]) == (409, "changed_meanwhile")
    by = changed.json["changed_by"]
    assert changes(lost.json["details"]) == {field: (*values, by) for field, values in expected.items()}
    assert "Since revision 1: " in lost.json["detail"]


async def test_of_a_password_only_that_it_changed_is_told(admin, person, database):
    hashes = [(await database["people"].find_one({"_id": person}))["password_hash"]]
    await admin.post(f"/people/{person}/password", {"password": "another-long-one"})
    hashes.append((await database["people"].find_one({"_id": person}))["password_hash"])
    lost = await admin.post(f"/people/{person}", {"roles": ["viewer"], "revision": 1})
    assert [each["before"] for each in lost.json["details"]["changed"]] == ["••••••"]
    assert not any(each.encode() in lost.body for each in hashes)


def test_every_call_that_may_lose_a_race_is_in_the_table():
    assert {call for call, *_ in LOSE} == revised("gateway")
