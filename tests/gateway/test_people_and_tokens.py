"""People, their tokens, and what cannot be done with either."""

import secrets
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher

from tests.gateway.client import ADMIN, PASSWORD, Client


def somebody(*roles):
    return {"name": f"p-{secrets.token_hex(4)}", "password": PASSWORD, "roles": list(roles)}


async def test_people_are_listed_page_by_page_without_anything_secret(admin):
    for _ in range(3):
        await admin.post("/people", somebody("viewer"))
    names, after = [], ""
    while True:
        page = (await admin.get("/people", params={"limit": "2", "after": after})).json
        names += [person["name"] for person in page["people"]]
        for person in page["people"]:
            assert set(person) == {"name", "roles", "created_at", "disabled"}
        after = page["next"]
        if not after:
            break
    assert names == sorted(set(names))
    assert ADMIN in names
    assert len(names) >= 4


async def test_a_name_is_taken_once(admin, person):
    again = {"name": person, "password": PASSWORD, "roles": ["admin"]}
    assert (await admin.post("/people", again)).reason == "person.exists"


@pytest.mark.parametrize("wrong", [{"password": "short"}, {"name": "../x"}, {"name": "a\n"}, {"roles": ["god"]}])
async def test_nobody_is_made_with_a_name_password_or_role_that_cannot_be(admin, wrong):
    assert (await admin.post("/people", {**somebody("viewer"), **wrong})).reason == "bus.malformed"


async def test_unknown_people_cannot_be_disabled(admin):
    assert (await admin.post("/people/nobody-here/disable")).reason == "person.unknown"


async def test_an_old_hash_becomes_a_strong_one_when_its_owner_logs_in(browser, database, person):
    weak = PasswordHasher(time_cost=1, memory_cost=8192).hash(PASSWORD)
    await database["people"].update_one({"_id": person}, {"$set": {"password_hash": weak}})
    assert (await browser.log_in(person)).status == 200
    now = (await database["people"].find_one({"_id": person}))["password_hash"]
    assert now != weak
    assert not PasswordHasher().check_needs_rehash(now)
    assert (await browser.log_in(person)).status == 200


async def test_a_token_works_is_listed_without_its_secret_and_ends_when_withdrawn(browser, person):
    await browser.log_in(person)
    made = (await browser.post("/tokens", {"label": "backup"})).json
    assert made["secret"].startswith("drv_")
    async with Client(browser.address, token=made["secret"]) as program:
        assert (await program.get("/me")).json == {
            "kind": "person",
            "name": person,
            "roles": ["viewer"],
            "via": "token",
        }
        listed = (await program.get("/tokens")).json["tokens"]
        assert [(token["id"], token["secret"]) for token in listed] == [(made["id"], "")]
        assert (await browser.delete(f"/tokens/{made['id']}")).json["id"] == made["id"]
        assert (await program.get("/me")).reason == "auth.token_invalid"
    assert (await browser.delete(f"/tokens/{made['id']}")).status == 200  # again is the same as once
    assert (await browser.get("/tokens")).json == {"tokens": []}


async def test_a_token_ends_when_its_time_is_over(browser, person, database):
    await browser.log_in(person)
    made = (await browser.post("/tokens", {"label": "x", "expires_in_s": 60})).json
    await database["api_tokens"].update_one(
        {"_id": made["id"]}, {"$set": {"expires_at": datetime.now(UTC) - timedelta(seconds=1)}}
    )
    async with Client(browser.address, token=made["secret"]) as program:
        assert (await program.get("/me")).reason == "auth.token_invalid"


async def test_nobody_withdraws_anothers_token(browser, admin, person):
    await browser.log_in(person)
    [theirs] = (await admin.get("/tokens")).json["tokens"]
    assert (await browser.delete(f"/tokens/{theirs['id']}")).reason == "token.unknown"


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "Bearer drv_nonsense", "Bearer x", "Bearer drv_\xff"])
async def test_a_token_that_is_none_is_told_so(browser, value):
    await browser.log_in()
    answer = await browser.get("/me", headers={"Authorization": value})
    assert answer.reason == "auth.token_invalid"
