"""Grants with a scope, from outside: what lies beyond it is not there, and accounts are used where they may be."""

import secrets

import pytest

from tests.plane import Plane


@pytest.fixture
async def shop(plane: Plane):
    """A token of somebody whose grants hold for the business of js-1 only."""
    name = f"shop-{secrets.token_hex(3)}"
    hosts = await plane.hosts()
    status, said = await plane.api("POST", "/places", {"kind": "business", "path": name})
    assert status == 201, said
    status, said = await plane.api("POST", f"/hosts/{hosts['js-1']}", {"business": name})
    assert status == 200, said
    permissions = ["runs:read", "runs:start", "runs:stop", "hosts:read", "tokens:own"]
    role = {"name": name, "permissions": permissions, "scope": {"businesses": [name]}}
    status, said = await plane.api("POST", "/roles", role)
    assert status == 201, said
    status, agent = await plane.api("GET", "/accounts/agent")
    status, said = await plane.api("POST", "/accounts/agent", {"roles": [*agent["roles"], name]})
    assert status == 200, said
    yield await plane.person(name, [name])
    await plane.api("POST", "/accounts/agent", {"roles": agent["roles"]})
    await plane.api("POST", f"/hosts/{hosts['js-1']}", {"business": ""})


async def test_a_foreign_run_is_not_there_on_any_way(plane: Plane, shop: str):
    run = await plane.run("echo secret", {"hostnames": ["js-2"]})
    await plane.finished(run)
    host = (await plane.hosts())["js-2"]
    unknown = f"0199{secrets.token_hex(8)}"
    for path in (
        "/runs/{}",
        "/runs/{}/hosts",
        f"/runs/{{}}/hosts/{host}/output",
        "/runs/{}/search?text=s",
        "/stream?runs={}",
    ):
        answers = []
        for each in (run, unknown):
            headers = {"Authorization": f"Bearer {shop}"}
            async with plane.http.get(f"{plane.url}/api/v1{path.format(each)}", headers=headers) as answer:
                said = await answer.json()
                answers.append((answer.status, said["reason"], said["detail"].replace(each, "RUN")))
        assert answers[0] == answers[1] == (404, "run.unknown", "There is no run RUN."), path
    for verb in ("stop", "retry"):
        assert (await plane.api("POST", f"/runs/{run}/{verb}", {}, token=shop))[0] == 404
    assert run not in str(await plane.api("GET", "/runs?limit=1000", token=shop))


async def test_a_scope_starts_on_its_own_hosts_and_sees_what_ran_there(plane: Plane, shop: str):
    body = {"script": "echo mine", "targets": {"hostnames": ["js-1"]}}
    status, own = await plane.api("POST", "/runs", body, token=shop)
    assert status == 201, own
    await plane.finished(own["id"])
    others = await plane.run("echo ours", {"hostnames": ["js-1"]})
    await plane.finished(others)
    status, page = await plane.api("GET", "/runs", token=shop)
    assert {own["id"], others} <= {run["id"] for run in page["runs"]}
    for targets in ({"hostnames": ["js-2"]}, {"hostnames": ["js-1", "js-2"]}):
        status, said = await plane.api("POST", "/runs", {**body, "targets": targets}, token=shop)
        assert (status, said["reason"]) == (422, "targets.unknown")


async def test_an_account_bound_to_a_group_is_used_on_its_members_only(plane: Plane):
    name = f"g{secrets.token_hex(3)}"
    hosts = await plane.hosts()
    status, said = await plane.api("POST", "/groups", {"name": name, "hosts": [hosts["bj-1"]]})
    assert status == 201, said
    account = {"alias": name, "os_user": "", "roles": ["admin"], "groups": [name], "default_for": [name]}
    status, said = await plane.api("POST", "/accounts", account)
    assert status == 201, said
    try:
        inside = await plane.run("true", {"hostnames": ["bj-1"]})
        assert (await plane.finished(inside))["account_alias"] == name
        for asked, reason in (({"account": name}, "account.not_here"), ({}, "account.ambiguous")):
            body = {"script": "true", "targets": {"hostnames": ["bj-1", "bj-2"]}, **asked}
            status, said = await plane.api("POST", "/runs", body)
            assert (status, said["reason"]) == (422, reason)
    finally:
        await plane.api("DELETE", f"/accounts/{name}")
        await plane.api("DELETE", f"/groups/{name}")
