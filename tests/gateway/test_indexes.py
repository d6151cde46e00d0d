"""Every query that the gateway sends has an index: MongoDB itself tells, while every use case is used."""

import secrets

from contracts.names import AskNames, NameKind, NameRef, unknown_names, uses_of_name
from tests.conftest import service_bus
from tests.gateway.client import PASSWORD, Client


async def test_no_query_reads_a_whole_collection(admin, browser, database, nats):
    await database.command("profile", 2)
    try:
        await _every_use_case(admin, browser)
        await _names(nats)
    finally:
        await database.command("profile", 0)
    seen = await database["system.profile"].find({"ns": {"$not": {"$regex": "system"}}}).to_list(None)
    await database["system.profile"].drop()
    assert [each["command"] for each in seen if "COLLSCAN" in each.get("planSummary", "")] == []
    planned = {each["ns"].rpartition(".")[2] for each in seen if "IXSCAN" in each.get("planSummary", "")}
    assert planned >= {"people", "roles", "sessions", "api_tokens", "login_failures"}


async def _names(nats):
    """As the other services ask for them."""
    async with service_bus(nats, "config") as bus:
        for kind in (NameKind.PERSON, NameKind.ROLE):
            await bus.call(unknown_names("gateway"), AskNames(kind=kind, names=("x",), near=True))
        for kind in (NameKind.GROUP, NameKind.BUSINESS, NameKind.ACCOUNT):
            await bus.call(uses_of_name("gateway"), NameRef(kind=kind, name="x"))


async def _every_use_case(admin, browser):
    name = f"p-{secrets.token_hex(4)}"
    given = {"permissions": ["tokens:own"]}
    for answer in (
        await admin.post("/roles", {"name": name, **given}),
        await admin.post("/people", {"name": name, "password": PASSWORD, "roles": [name]}),
        await admin.get("/roles", params={"after": "a"}),
        await admin.get("/people", params={"after": "a"}),
        await admin.get(f"/people/{name}"),
        await browser.log_in(name, PASSWORD),
        await browser.post("/me/password", {"old": PASSWORD, "new": PASSWORD}),
        await browser.get("/sessions", params={"after": "s-0"}),
        await browser.post("/sessions/revoke-others"),
        await browser.get("/tokens", params={"after": "t-0"}),
    ):
        assert answer.status in {200, 201}, answer
    made = (await browser.post("/tokens", {"label": "x", **given})).json
    session = (await browser.get("/me")).json["credential"]
    async with Client(browser.address, token=made["secret"]) as program:
        assert (await program.get("/me")).status == 200
    assert (await admin.delete(f"/roles/{name}")).reason == "role.in_use"
    for answer in (
        await browser.delete(f"/tokens/{made['id']}"),
        await admin.post(f"/roles/{name}", {"description": "x"}),
        await admin.delete(f"/people/{name}/sessions/{session}"),
        await admin.post(f"/people/{name}/sessions/revoke"),
        await admin.post("/lockouts/lift", {"name": name, "address": "192.0.2.1"}),
        await admin.post(f"/people/{name}", {"roles": ["admin"]}),
        await admin.post(f"/people/{name}/disable"),
        await admin.delete(f"/roles/{name}"),
    ):
        assert answer.status == 200, answer
