"""Where somebody is logged in, ending that, and lifting a lockout."""

import secrets

import pytest_asyncio

from services.gateway.sessions.model import FAILURES, readable
from tests.gateway.client import Client


@pytest_asyncio.fixture
async def elsewhere(browser, person):
    """The same person in a second browser."""
    await browser.log_in(person)
    async with Client(browser.address) as client:
        await client.log_in(person)
        yield client


async def current(client):
    return (await client.get("/me")).json["credential"]


async def test_one_sees_where_one_is_logged_in_and_which_of_them_this_is(browser, elsewhere, person):
    page = (await browser.get("/sessions")).json
    assert {each["id"] for each in page["sessions"]} == {await current(browser), await current(elsewhere)}
    assert {each["id"] for each in page["sessions"] if each["current"]} == {await current(browser)}
    for each in page["sessions"]:
        assert each["person"] == person
        assert each["address"] == "127.0.0.1"
        assert "aiohttp" in each["user_agent"]
    first = (await browser.get("/sessions", params={"limit": "1"})).json
    rest = (await browser.get("/sessions", params={"limit": "1", "after": first["next"]})).json
    assert first["sessions"] + rest["sessions"] == page["sessions"]


async def test_one_ends_one_session_or_all_others(browser, elsewhere, person):
    assert (await browser.delete(f"/sessions/{await current(elsewhere)}")).json == {"revoked": 1}
    assert (await elsewhere.get("/me")).reason == "auth.required"
    assert (await browser.delete("/sessions/s-none")).reason == "session.unknown"
    await elsewhere.log_in(person)
    assert (await browser.post("/sessions/revoke-others")).json == {"revoked": 1}
    assert (await elsewhere.get("/me")).reason == "auth.required"
    assert (await browser.get("/me")).status == 200


async def test_nobody_sees_or_ends_anothers_session(elsewhere, viewer):
    other = await current(elsewhere)
    assert other not in [each["id"] for each in (await viewer.get("/sessions")).json["sessions"]]
    assert (await viewer.delete(f"/sessions/{other}")).reason == "session.unknown"
    assert (await elsewhere.get("/me")).status == 200


async def test_admins_see_and_end_anothers_sessions(admin, browser, elsewhere, person):
    listed = (await admin.get(f"/people/{person}/sessions")).json["sessions"]
    assert len(listed) == 2
    assert not any(each["current"] for each in listed)
    gone = await current(elsewhere)
    assert (await admin.delete(f"/people/{person}/sessions/{gone}")).json == {"revoked": 1}
    assert (await elsewhere.get("/me")).reason == "auth.required"
    assert (await admin.delete(f"/people/{person}/sessions/{gone}")).reason == "session.unknown"
    assert (await admin.post(f"/people/{person}/sessions/revoke")).json == {"revoked": 1}
    assert (await browser.get("/me")).reason == "auth.required"
    for answer in (
        await admin.get("/people/nobody-here/sessions"),
        await admin.delete("/people/nobody-here/sessions/s-1"),
        await admin.post("/people/nobody-here/sessions/revoke"),
    ):
        assert answer.reason == "person.unknown"


async def test_what_ended_otherwise_is_not_listed(admin, elsewhere, person):
    await admin.post(f"/people/{person}/disable")
    await admin.post(f"/people/{person}/enable")
    assert (await admin.get(f"/people/{person}/sessions")).json["sessions"] == []


def test_what_a_browser_says_of_itself_can_be_kept():
    assert readable("商城\udcff\0" + "x" * 1000) == "商城?" + "x" * 297


async def test_a_lockout_holds_for_names_that_nobody_has(browser, database):
    nobody = f"nobody-{secrets.token_hex(4)}"
    for _ in range(FAILURES):
        assert (await browser.log_in(nobody, "wrong password")).reason == "auth.wrong_password"
    await database["login_failures"].update_many({}, {"$set": {"address": "192.0.2.1"}})
    assert (await browser.log_in(nobody, "wrong password")).reason == "auth.locked_out"


async def test_an_admin_lifts_a_lockout_by_name_and_by_address(admin, browser, database, person):
    for _ in range(FAILURES):
        await browser.log_in(person, "wrong password")
    await database["login_failures"].update_many({}, {"$set": {"address": "192.0.2.1"}})
    assert (await browser.log_in(person)).reason == "auth.locked_out"
    assert (await admin.post("/lockouts/lift", {"name": person})).json == {"forgotten": FAILURES}
    assert (await browser.log_in(person)).status == 200
    for _ in range(FAILURES):
        await browser.log_in(f"nobody-{secrets.token_hex(4)}", "wrong password")
    assert (await browser.log_in(person)).reason == "auth.locked_out"
    assert (await admin.post("/lockouts/lift", {"address": "127.0.0.1"})).json == {"forgotten": FAILURES}
    assert (await browser.log_in(person)).status == 200


async def test_lifting_names_whose_lockout_it_means(admin):
    assert (await admin.post("/lockouts/lift")).reason == "lockout.nothing_named"
