"""People, their tokens, and what cannot be done with either."""

import secrets
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher

from services.gateway.sessions.model import FAILURES
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
            assert set(person) == {
                "name",
                "roles",
                "created_at",
                "disabled",
                "revision",
                "changed_by",
                "changed_at",
            }
        after = page["next"]
        if not after:
            break
    assert names == sorted(set(names))
    assert ADMIN in names
    assert len(names) >= 4


async def test_a_name_is_taken_once(admin, person):
    again = {"name": person, "password": PASSWORD, "roles": ["admin"]}
    assert (await admin.post("/people", again)).reason == "person.exists"


@pytest.mark.parametrize("wrong", [{"password": "short"}, {"name": "../x"}, {"name": "a\n"}, {"roles": ["a b"]}])
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
            "grants": [],
            "via": "token",
            "limited": False,
            "address": "127.0.0.1",
            "credential": made["id"],
        }
        listed = (await program.get("/tokens")).json["tokens"]
        assert [(token["id"], token["secret"]) for token in listed] == [(made["id"], "")]
        assert (await browser.delete(f"/tokens/{made['id']}")).json["id"] == made["id"]
        assert (await program.get("/me")).reason == "auth.token_invalid"
    assert (await browser.delete(f"/tokens/{made['id']}")).status == 200  # again is the same as once
    assert (await browser.get("/tokens")).json == {"tokens": [], "next": ""}


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


async def test_roles_change_and_who_lost_the_race_is_told_who_won(admin, person):
    changed = (await admin.post(f"/people/{person}", {"roles": ["operator", "viewer"], "revision": 1})).json
    assert (changed["roles"], changed["revision"]) == (["operator", "viewer"], 2)
    lost = await admin.post(f"/people/{person}", {"roles": ["viewer"], "revision": 1})
    assert (lost.status, lost.reason) == (409, "person.changed_meanwhile")
    assert lost.json["details"]["by"] == (await admin.get("/me")).json["name"]
    again = (await admin.post(f"/people/{person}", {"roles": ["operator", "viewer"]})).json
    assert again["revision"] == 2, "a change that changes nothing is none"


async def test_who_is_enabled_again_logs_in_anew_and_nothing_of_before_comes_back(admin, browser, person):
    await browser.log_in(person)
    token = (await browser.post("/tokens", {"label": "x"})).json["secret"]
    await admin.post(f"/people/{person}/disable")
    assert (await admin.post(f"/people/{person}/enable")).json["disabled"] is False
    assert (await browser.get("/me")).reason == "auth.required"
    async with Client(browser.address, token=token) as program:
        assert (await program.get("/me")).reason == "auth.token_invalid"
    assert (await browser.log_in(person)).status == 200


async def test_a_password_that_an_admin_sets_ends_what_was_open(admin, browser, person):
    await browser.log_in(person)
    token = (await browser.post("/tokens", {"label": "x"})).json["secret"]
    assert (await admin.post(f"/people/{person}/password", {"password": "another long one"})).status == 200
    assert (await browser.get("/me")).reason == "auth.required"
    async with Client(browser.address, token=token) as program:
        assert (await program.get("/me")).reason == "auth.token_invalid"
    assert (await browser.log_in(person)).reason == "auth.wrong_password"
    assert (await browser.log_in(person, "another long one")).status == 200


async def test_ones_own_password_needs_the_old_one_and_leaves_this_session_alone(browser, person):
    await browser.log_in(person)
    async with Client(browser.address) as other:
        await other.log_in(person)
        wrong = await browser.post("/me/password", {"old": "not this one", "new": "another long one"})
        assert (wrong.status, wrong.reason) == (403, "person.wrong_old_password")
        right = await browser.post("/me/password", {"old": PASSWORD, "new": "another long one"})
        assert right.json["name"] == person
        assert (await other.get("/me")).reason == "auth.required"
        assert (await browser.get("/me")).status == 200
        assert (await other.log_in(person, "another long one")).status == 200


async def test_old_passwords_are_not_guessed_either(browser, person):
    await browser.log_in(person)
    for _ in range(FAILURES):
        await browser.post("/me/password", {"old": "not this one", "new": "another long one"})
    assert (
        await browser.post("/me/password", {"old": PASSWORD, "new": "another long one"})
    ).reason == "auth.locked_out"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"permissions": ["hosts:fly"]}, "grants.unknown_permission"),
        ({"permissions": []}, "bus.malformed"),
        ({"scope": {"accounts": []}}, "grants.empty_scope"),
        ({"permissions": ["people:manage"], "scope": {"groups": ["web"]}}, "grants.indivisible"),
        ({"expires_in_s": 59}, "bus.malformed"),
    ],
)
async def test_a_token_that_would_be_nothing_is_not_made(browser, person, wrong, reason):
    await browser.log_in(person)
    assert (await browser.post("/tokens", {"label": "x", **wrong})).reason == reason


async def test_a_limited_token_does_what_it_names_and_only_while_its_owner_may(admin, browser, person):
    await browser.log_in(person)
    limits = {"permissions": ["tokens:own", "hosts:change"], "scope": {"businesses": ["shop"]}}
    made = (await browser.post("/tokens", {"label": "x", **limits})).json
    assert (made["permissions"], made["scope"]["businesses"]) == (["tokens:own", "hosts:change"], ["shop"])
    async with Client(browser.address, token=made["secret"]) as program:
        me = (await program.get("/me")).json
        assert (me["roles"], me["limited"]) == (["viewer"], True)
        assert {name for grant in me["grants"] for name in grant["permissions"]} == {"tokens:own"}
        assert {tuple(grant["scope"]["businesses"]) for grant in me["grants"]} == {("shop",)}
        await admin.post(f"/people/{person}", {"roles": ["operator"]})
        names = {name for grant in (await program.get("/me")).json["grants"] for name in grant["permissions"]}
        assert names == {"tokens:own", "hosts:change"}
        await admin.post(f"/people/{person}", {"roles": []})
        assert (await program.get("/tokens")).reason == "auth.forbidden"


async def test_a_limited_token_cannot_make_itself_or_others_wider(browser, admin):
    made = (await admin.post("/tokens", {"label": "x", "permissions": ["tokens:own", "hosts:read"]})).json
    async with Client(browser.address, token=made["secret"]) as program:
        assert (await program.get("/people")).reason == "auth.forbidden"
        for answer in (
            await program.post("/tokens", {"label": "wider"}),
            await program.delete(f"/tokens/{made['id']}"),
            await program.post("/me/password", {"old": PASSWORD, "new": "another long one"}),
            await program.get("/sessions"),
            await program.post("/sessions/revoke-others"),
        ):
            assert (answer.status, answer.reason) == (403, "token.limited")


async def test_a_token_of_an_admin_within_bounds_manages_nobody(browser, admin):
    made = (await admin.post("/tokens", {"label": "x", "scope": {"businesses": ["shop"]}})).json
    async with Client(browser.address, token=made["secret"]) as program:
        assert (await program.get("/people")).reason == "auth.forbidden"
        assert (await program.post("/roles", {"name": "x", "permissions": ["runs:read"]})).reason == "auth.forbidden"


async def test_the_last_use_of_a_token_is_noted_to_the_minute(browser, person, database):
    await browser.log_in(person)
    made = (await browser.post("/tokens", {"label": "x"})).json
    assert made["last_used_at"] is None
    which = {"_id": made["id"]}
    async with Client(browser.address, token=made["secret"]) as program:
        await program.get("/me")
        first = (await database["api_tokens"].find_one(which))["last_used_at"]
        await program.get("/me")
        assert (await database["api_tokens"].find_one(which))["last_used_at"] == first
        await database["api_tokens"].update_one(which, {"$set": {"last_used_at": first - timedelta(minutes=1)}})
        [listed] = (await program.get("/tokens")).json["tokens"]
        assert datetime.fromisoformat(listed["last_used_at"]) >= first


async def test_admins_list_and_withdraw_anothers_tokens(admin, browser, person):
    await browser.log_in(person)
    made = (await browser.post("/tokens", {"label": "x"})).json
    assert [each["id"] for each in (await admin.get(f"/people/{person}/tokens")).json["tokens"]] == [made["id"]]
    assert (await admin.delete(f"/people/{person}/tokens/{made['id']}")).json["owner"] == person
    assert (await admin.get(f"/people/{person}/tokens")).json["tokens"] == []
    async with Client(browser.address, token=made["secret"]) as program:
        assert (await program.get("/me")).reason == "auth.token_invalid"
    assert (await admin.get("/people/nobody-here/tokens")).reason == "person.unknown"
    assert (await admin.delete(f"/people/{person}/tokens/t-none")).reason == "token.unknown"


async def test_tokens_are_listed_page_by_page(browser, person):
    await browser.log_in(person)
    made = sorted([(await browser.post("/tokens", {"label": "x"})).json["id"] for _ in range(3)])
    first = (await browser.get("/tokens", params={"limit": "2"})).json
    rest = (await browser.get("/tokens", params={"limit": "2", "after": first["next"]})).json
    assert [each["id"] for each in first["tokens"] + rest["tokens"]] == made
    assert rest["next"] == ""
