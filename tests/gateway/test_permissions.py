"""Every role against every call, over HTTP and through the bus to where it is answered.

Which of the objects a principal may touch is asked of the real services, in tests/e2e/test_ownership.py.
"""

import re
import secrets
from urllib.parse import quote, urlencode

import pytest
import pytest_asyncio
from aiohttp import web

from contracts import registry
from contracts.kinds import ANYONE, Call, get
from contracts.people import Nothing
from contracts.permissions import EVERYBODY, ROLES, Role
from runtime.authorize import Undeclared
from services.gateway.app import Parts, application
from services.gateway.routes import PREFIX, Routes
from tests.conftest import service_bus
from tests.gateway.client import PASSWORD, Client
from tests.gateway.neighbours import neighbours
from tests.smallest import smallest_fields

CALLS = [call for call in registry.calls() if call.http]
NAME = "someone-else"
GIVEN = {
    "gateway.people.create": {"name": "someone", "password": "long enough, this", "roles": ["viewer"]},
    "gateway.people.change": {"name": NAME, "roles": ["viewer"]},
    "gateway.people.set_password": {"name": NAME},
    "gateway.roles.create": {"name": "matrix", "permissions": ["runs:read"]},
    "gateway.lockouts.lift": {"name": NAME},
}
"""What makes sense beyond the contract, for calls that the gateway itself answers."""


@pytest_asyncio.fixture(scope="module", autouse=True)
async def others(nats):
    async with neighbours(nats) as made:
        yield made


async def send(client, call):
    fields = smallest_fields(call.request, GIVEN.get(call.subject))
    path = re.sub(r"{(\w+)}", lambda match: quote(str(fields.pop(match[1])), safe=""), call.http.path)
    if call.http.method in {"POST", "PUT"}:
        return await client.send(call.http.method, path, encoded=True, json=fields)
    return await client.send(call.http.method, f"{path}?{urlencode(fields)}", encoded=True)


@pytest.mark.parametrize("role", [None, *Role], ids=lambda role: role or "anonymous")
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.subject)
async def test_each_role_reaches_exactly_what_it_may(address, tokens, others, call, role):
    others.reached.clear()
    async with Client(address, token=tokens[role] if role else "") as client:
        answer = await send(client, call)
    if call.needs == ANYONE:
        assert answer.status not in {401, 403, 422}
        assert others.reached[0][2].kind == "anonymous"
    elif role is None:
        assert answer.reason == "auth.required"
        assert answer.status == 401
        assert not others.reached
    elif call.needs not in ROLES[role]:
        assert answer.reason == "auth.forbidden"
        assert answer.status == 403
        assert not others.reached
    else:
        assert answer.status not in {401, 422}, answer
        assert b"auth.forbidden" not in answer.body
        if call.service != "gateway":
            [(subject, _, principal)] = others.reached
            assert subject == call.subject
            assert principal.roles == (role,)


class Custom:
    """Somebody with one role of our own making, and a token; the role is changed before every question."""

    def __init__(self, admin, name, secret):
        self.admin, self.name, self.secret = admin, name, secret

    async def may(self, permissions, **scope):
        changed = {"permissions": sorted(permissions), "scope": scope}
        answer = await self.admin.post(f"/roles/{self.name}", changed)
        assert answer.status == 200, answer


@pytest_asyncio.fixture(scope="module")
async def custom(address, tokens):
    async with Client(address, token=tokens["admin"]) as admin:
        name = f"custom-{secrets.token_hex(3)}"
        assert (await admin.post("/roles", {"name": name, "permissions": ["tokens:own"]})).status == 201
        assert (await admin.post("/people", {"name": name, "password": PASSWORD, "roles": [name]})).status == 201
        async with Client(address) as browser:
            await browser.log_in(name)
            secret = (await browser.post("/tokens", {"label": "matrix"})).json["secret"]
        yield Custom(admin, name, secret)


@pytest.mark.parametrize("call", [call for call in CALLS if call.needs != ANYONE], ids=lambda call: call.subject)
async def test_a_custom_role_with_exactly_the_permission_reaches_a_call(address, custom, others, call):
    await custom.may({call.needs})
    others.reached.clear()
    async with Client(address, token=custom.secret) as client:
        answer = await send(client, call)
    assert answer.status not in {401, 422}, answer
    assert b"auth.forbidden" not in answer.body
    if call.service != "gateway":
        [(subject, _, principal)] = others.reached
        assert subject == call.subject
        assert [grant.permissions for grant in principal.grants] == [(call.needs,)]


@pytest.mark.parametrize(
    "call", [call for call in CALLS if call.needs not in {ANYONE, *EVERYBODY}], ids=lambda call: call.subject
)
async def test_a_custom_role_with_all_permissions_but_the_needed_one_does_not(address, custom, others, call):
    await custom.may(ROLES[Role.ADMIN] - {call.needs})
    others.reached.clear()
    async with Client(address, token=custom.secret) as client:
        answer = await send(client, call)
    assert (answer.status, answer.reason) == (403, "auth.forbidden")
    assert not others.reached


async def test_a_scope_reaches_whoever_answers_in_every_script_of_the_world(address, custom, others):
    names = ("商城", 'a "b" \\ c')
    await custom.may({"hosts:read"}, businesses=names, accounts=["deploy"])
    others.reached.clear()
    async with Client(address, token=custom.secret) as client:
        await client.get("/hosts")
    [(_, _, principal)] = others.reached
    assert principal.grants[0].scope.businesses == names
    assert principal.grants[0].scope.accounts == ("deploy",)
    assert principal.address == "127.0.0.1"


def test_every_call_with_an_address_has_a_route_and_every_route_a_permission(application_routes):
    for call in CALLS:
        assert (call.http.method, PREFIX + call.http.path) in application_routes
    open_to_all = {"/api/openapi.json", "/api/docs", "/api/docs.css", "/healthz", "/readyz", "/metrics"}
    for _, path in application_routes:
        assert path.startswith(PREFIX + "/") or path in open_to_all


def test_no_start_with_an_undeclared_permission():
    undeclared = Call("jobs.secret", Nothing, Nothing, needs="jobs:whatever", http=get("/secret"))
    with pytest.raises(Undeclared, match="jobs:whatever"):
        Routes(None, None, None, None).of_calls([undeclared])


def test_no_start_with_a_field_that_no_query_can_carry():
    nested = Call("jobs.secret", registry.hosts.ResolveTargets, Nothing, needs="runs:read", http=get("/secret"))
    with pytest.raises(TypeError, match="targets"):
        Routes(None, None, None, None).of_calls([nested])


@pytest.fixture
def application_routes(nats):
    app: web.Application = application(service_bus(nats, "gateway"), None, Parts(*[None] * 12), secure=False)
    return {(route.method, route.resource.canonical) for route in app.router.routes()}
