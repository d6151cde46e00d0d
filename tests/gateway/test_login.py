"""Login, sessions and what ends them."""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher, extract_parameters

from runtime.signing import sha256
from services.gateway.people.passwords import Passwords
from services.gateway.sessions.model import FAILURES, wait_for_login
from tests.gateway.client import ADMIN, PASSWORD, Client


@pytest.fixture(autouse=True)
async def forget_failures(address, database):
    await database["login_failures"].delete_many({})


async def test_login_answers_who_it_is_and_sets_a_cookie_that_scripts_cannot_read(browser):
    answer = await browser.log_in()
    assert answer.status == 200
    who = answer.json
    session = who.pop("credential")
    assert session.startswith("s-")
    told = {"name": ADMIN, "roles": ["admin"], "grants": [], "limited": False, "address": "127.0.0.1"}
    assert who == {"kind": "person", "via": "session", **told}
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("drover=")
    for part in ("HttpOnly", "SameSite=Strict", "Path=/"):
        assert part in cookie
    assert (await browser.get("/me")).json == answer.json


async def test_only_hashes_of_cookies_passwords_and_tokens_are_kept(browser, database):
    await browser.log_in()
    token = (await browser.post("/tokens", {"label": "x"})).json["secret"]
    everything = ""
    for name in await database.list_collection_names():
        everything += str([document async for document in database[name].find()])
    assert sha256(browser.cookies["drover"].encode()) in everything
    for secret in (browser.cookies["drover"], PASSWORD, token):
        assert secret not in everything


async def test_a_login_always_begins_a_new_session_and_ends_the_one_that_was_there(browser):
    await browser.log_in()
    first = browser.cookies["drover"]
    await browser.log_in()
    assert browser.cookies["drover"] != first
    answer = await browser.get("/me", headers={"Cookie": f"drover={first}"}, cookies={})
    assert answer.status == 200  # the jar's own cookie counts
    async with Client(browser.address) as other:
        assert (await other.get("/me", headers={"Cookie": f"drover={first}"})).reason == "auth.required"


async def test_a_cookie_that_somebody_planted_does_not_become_a_session(address):
    planted = secrets.token_urlsafe(32)
    async with Client(address) as victim:
        victim.http.cookie_jar.update_cookies({"drover": planted})
        assert (await victim.log_in()).status == 200
        assert victim.cookies["drover"] != planted
    async with Client(address) as thief:
        assert (await thief.get("/me", headers={"Cookie": f"drover={planted}"})).status == 401


async def test_logout_ends_the_session_on_the_server(browser):
    await browser.log_in()
    cookie = browser.cookies["drover"]
    assert (await browser.post("/logout")).status == 200
    assert "drover" not in browser.cookies
    assert (await browser.get("/me", headers={"Cookie": f"drover={cookie}"})).reason == "auth.required"


@pytest.mark.parametrize(
    "change",
    [
        {"seen_at": -timedelta(minutes=31)},
        {"created_at": -timedelta(hours=12, minutes=1)},
    ],
    ids=["half an hour without a request", "twelve hours in all"],
)
async def test_sessions_end_by_themselves(browser, database, change):
    await browser.log_in()
    key = {"_id": sha256(browser.cookies["drover"].encode())}
    [(field, ago)] = change.items()
    await database["sessions"].update_one(key, {"$set": {field: datetime.now(UTC) + ago}})
    assert (await browser.get("/me")).reason == "auth.required"


async def test_a_request_keeps_an_idle_session_alive(browser, database):
    await browser.log_in()
    key = {"_id": sha256(browser.cookies["drover"].encode())}
    await database["sessions"].update_one(key, {"$set": {"seen_at": datetime.now(UTC) - timedelta(minutes=29)}})
    before = datetime.now(UTC) - timedelta(seconds=1)
    assert (await browser.get("/me")).status == 200
    assert (await database["sessions"].find_one(key))["seen_at"] >= before


async def test_a_disabled_person_is_out_at_once_everywhere(admin, browser, person):
    await browser.log_in(person)
    token = (await browser.post("/tokens", {"label": "x"})).json["secret"]
    assert (await admin.post(f"/people/{person}/disable")).json["disabled"] is True
    assert (await browser.get("/me")).reason == "auth.required"
    async with Client(browser.address, token=token) as program:
        assert (await program.get("/me")).reason == "auth.token_invalid"
    assert (await browser.log_in(person)).reason == "auth.wrong_password"


async def test_the_eleventh_wrong_password_must_wait_and_so_must_the_right_one_then(browser, person):
    for _ in range(FAILURES):
        assert (await browser.log_in(person, "wrong password")).reason == "auth.wrong_password"
    refused = await browser.log_in(person)
    assert refused.status == 429
    assert refused.reason == "auth.locked_out"
    assert 0 < int(refused.headers["Retry-After"]) <= 15 * 60
    assert refused.json["details"] == {"retry_after_s": int(refused.headers["Retry-After"])}


async def test_names_tried_from_one_address_count_together(browser):
    for _ in range(FAILURES):
        await browser.log_in(f"nobody-{secrets.token_hex(4)}", "wrong password")
    assert (await browser.log_in()).status == 429


async def test_a_burst_gets_no_more_guesses_than_ten_in_a_row(browser, person):
    answers = await asyncio.gather(*(browser.log_in(person, "wrong password") for _ in range(3 * FAILURES)))
    assert sum(answer.status == 401 for answer in answers) <= FAILURES
    assert {answer.status for answer in answers} <= {401, 429}


async def test_right_passwords_are_no_failures(browser, database):
    for _ in range(3):
        assert (await browser.log_in()).status == 200
    assert await database["login_failures"].count_documents({}) == 0


async def test_unknown_known_and_disabled_get_the_same_words(admin, browser, person):
    gone = f"p-{secrets.token_hex(4)}"
    await admin.post("/people", {"name": gone, "password": PASSWORD, "roles": ["viewer"]})
    await admin.post(f"/people/{gone}/disable")
    answers = [
        await browser.log_in(person, "wrong password"),
        await browser.log_in("nobody-at-all", "wrong password"),
        await browser.log_in(gone),
    ]
    problems = [{**answer.json, "reference": ""} for answer in answers]
    assert problems[0] == problems[1] == problems[2]
    assert problems[0]["reason"] == "auth.wrong_password"


class Counting(PasswordHasher):
    """The real one, and what it was asked."""

    def __init__(self):
        super().__init__()
        self.verified = []

    def verify(self, known, password):
        self.verified.append(extract_parameters(known))
        return super().verify(known, password)


async def test_a_name_that_nobody_has_takes_the_same_work():
    hasher = Counting()
    passwords = await Passwords.with_hasher(hasher)
    known = await passwords.hash(PASSWORD)
    assert await passwords.verify(known, PASSWORD)
    assert not await passwords.verify(known, "wrong password")
    assert not await passwords.verify(None, PASSWORD)
    assert not await passwords.verify(None, "nobody's password")
    assert hasher.verified == [extract_parameters(known)] * 4


def test_the_wait_lasts_until_fewer_than_ten_failures_are_left():
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    failures = [now - timedelta(minutes=14 - minute) for minute in range(FAILURES)]
    assert wait_for_login(failures[1:], now) == 0
    assert wait_for_login(failures, now) == 60
    assert wait_for_login([now - timedelta(minutes=16), *failures[1:]], now) == 0
