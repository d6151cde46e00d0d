"""The trail as people see it over HTTP: who came in, who changed what, page by page over all services, and exported."""

import asyncio
import io
import json

import pytest_asyncio

from cli.client import encoded
from contracts import registry
from contracts.audit import AUDITED, OK
from services.gateway.app import running
from tests.auditing import refusing, rows
from tests.gateway.client import PASSWORD, Client
from tests.gateway.conftest import settings
from tests.gateway.trails import REFUSED, trails
from tests.servers import mongod, nats_plane, until
from tests.smallest import smallest

CHANGES = [call for call in registry.calls() if call.http and call.changes]


@pytest_asyncio.fixture(scope="module", autouse=True)
async def others(nats, mongo):
    async with trails(nats, mongo.url) as databases:
        yield databases


async def listed(client, **wanted):
    answer = await client.get("/audit", params=wanted)
    assert answer.status == 200, answer
    return answer.json["entries"]


async def concluded(client, count, **wanted):
    """Entries once there are so many and all have ended."""
    found = []

    async def there():
        found[:] = await listed(client, **wanted)
        return len(found) == count and all(each["outcome"] != "unknown" for each in found)

    await until(there, f"{count} entries of {wanted}")
    return found


async def test_who_comes_and_goes_is_written_and_who_fails_to(admin, browser, person):
    assert (await browser.log_in(person, "not the password")).status == 401
    assert (await browser.log_in(person)).status == 200
    assert (await browser.post("/logout")).status == 200
    entries = await concluded(admin, 2, call="gateway.login", object=person)
    assert [each["outcome"] for each in entries] == [OK, "auth.wrong_password"]
    for each in entries:
        assert each["who"]["kind"] == "anonymous"
        assert each["who"]["address"] == "127.0.0.1"
        assert json.loads(each["request"]) == {"name": person, "password": "••••••"}
    [left] = await concluded(admin, 1, call="gateway.logout", who=person)
    assert (left["outcome"], left["who"]["via"], left["who"]["address"]) == (OK, "session", "127.0.0.1")


async def test_whoever_must_wait_to_guess_again_leaves_no_row(admin, browser, person):
    for _ in range(10):
        await browser.log_in(person, "not the password")
    assert (await browser.log_in(person, "not the password")).status == 429
    await concluded(admin, 10, call="gateway.login", object=person)


async def test_no_login_if_it_cannot_be_written(browser, person, database):
    async with refusing(database):
        answer = await browser.log_in(person)
        assert (answer.status, answer.reason) == (503, "audit.away")
    assert not browser.cookies
    assert await database["sessions"].find_one({"person": person}) is None


async def test_no_change_if_it_cannot_be_written(admin, database):
    async with refusing(database):
        answer = await admin.post("/people", {"name": "never", "password": PASSWORD, "roles": ["viewer"]})
        assert (answer.status, answer.reason) == (503, "audit.away")
    assert await database["people"].find_one({"_id": "never"}) is None


async def test_every_change_of_every_service_leaves_who_asked_and_how_it_ended(admin, others):
    for call in CHANGES:
        if call.service != "gateway":
            path, body = encoded(call.http, smallest(call.request))
            headers = {"Content-Type": "application/json"}
            answer = await admin.send(call.http.method, path, encoded=True, data=body, headers=headers)
            assert answer.reason == REFUSED, (call.subject, answer)
            [entry] = await concluded(admin, 1, call=call.subject)
            assert (entry["outcome"], entry["service"]) == (REFUSED, call.service)
            assert entry["who"]["address"] == "127.0.0.1"
            assert entry["object"] or "{" not in call.http.path


async def test_pages_over_all_services_are_in_order_and_whole(admin, others):
    await listed(admin, limit=1)
    seen, after = [], ""
    while True:
        page = (await admin.get("/audit", params={"limit": 7, "after": after})).json
        seen += page["entries"]
        after = page["next"]
        if not after:
            break
    ids = [each["id"] for each in seen]
    assert ids == sorted(set(ids), reverse=True)
    assert {each["service"] for each in seen} >= {"gateway", "resources", "jobs"}


async def test_criteria_come_in_the_query_and_are_checked(admin):
    for query in ("since=yesterday", "since=2026-01-01T00:00:00", "limit=0", "who=a&who=b", "nonsense=1", "limit=x"):
        answer = await admin.get(f"/audit?{query}")
        assert 400 <= answer.status < 500, (query, answer)
    assert await listed(admin, until="2020-01-01T00:00:00Z") == []
    assert await listed(admin, since="2020-01-01T00:00:00+08:00", limit=1)
    assert await listed(admin, text="$where", who="{$ne: 1}") == []
    for after in ("\u0000", "zzz", "0" * 200):
        assert (await admin.get("/audit", params={"after": after})).status in {200, 422}


async def test_only_admins_see_it(viewer, browser):
    for path in ("/audit", "/audit/checkpoints", "/audit/export"):
        assert (await viewer.get(path)).reason == "auth.forbidden"
        assert (await browser.get(path)).reason == "auth.required"


async def test_an_export_has_the_key_every_row_and_an_end(admin, others, database):
    await listed(admin, limit=1)
    answer = await admin.get("/audit/export")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert list(lines[0]) == ["keys"]
    exported = [line["row"] for line in lines if "row" in line]
    assert lines[-1]["end"]["rows"] == len(exported)
    for service, kept in {"gateway": database, **others}.items():
        ids = [(row["chain"], row["n"]) for row in await rows(kept)]
        assert [(row["chain"], row["n"]) for row in exported if row["service"] == service][: len(ids)] <= ids
    assert {row["service"] for row in exported} <= set(AUDITED)


async def test_a_service_that_is_away_makes_no_list_with_a_gap(tmp_path):
    async with (
        nats_plane(tmp_path / "own", ("js",)) as nats,
        mongod(tmp_path) as own,
        running(settings(nats, own)) as address,
        Client(address) as browser,
    ):
        assert (await browser.log_in()).status == 200
        for path in ("/audit", "/audit/export"):
            answer = await browser.get(path)
            assert (answer.status, answer.reason) == (503, "bus.no_answer")


async def test_two_admins_at_once_are_two_rows(admin):
    names = [f"pair-{n}" for n in range(2)]
    bodies = [{"name": name, "password": PASSWORD, "roles": ["viewer"]} for name in names]
    await asyncio.gather(*(admin.post("/people", body) for body in bodies))
    for name in names:
        [entry] = await concluded(admin, 1, call="gateway.people.create", object=name)
        assert PASSWORD not in str(entry)


MALFORMED = [
    (b'{"label": "hunter2', "application/json", "http.malformed_json"),
    (b'{"label": "x", "label": "hunter2"}', "application/json", "http.duplicate_key"),
    (b'{"labl": "hunter2"}', "application/json", "bus.malformed"),
    (b'{"label": "x", "colour": "hunter2"}', "application/json", "http.unknown_field"),
    (b'{"label": 7}', "application/json", "bus.malformed"),
    (b"label=hunter2", "text/plain", "http.unsupported_media_type"),
    (b'{"label": "' + b"x" * 2**20 + b'"}', "application/json", "http.body_too_large"),
]


async def test_a_change_that_cannot_be_read_leaves_who_what_and_why_but_never_the_body(admin, address, person):
    async with Client(address) as client:
        assert (await client.log_in(person)).status == 200
        for body, media, reason in MALFORMED:
            refused = await client.send("POST", "/tokens", data=io.BytesIO(body), headers={"Content-Type": media})
            assert refused.reason == reason, refused
    entries = await concluded(admin, len(MALFORMED), who=person, call="gateway.tokens.create")
    assert [each["outcome"] for each in reversed(entries)] == [reason for *_, reason in MALFORMED]
    assert {(each["who"]["name"], each["request"]) for each in entries} == {(person, "")}
    assert not [each for each in await listed(admin, text="hunter2") if each["who"]["name"] == person]


async def test_a_question_that_cannot_be_read_leaves_no_row(admin, address, person):
    async with Client(address) as client:
        assert (await client.log_in(person)).status == 200
        assert (await client.get("/tokens", params={"colour": "red"})).status == 422
    assert [each["call"] for each in await listed(admin, who=person) if each["outcome"] != OK] == []
