"""Every role against every call, over HTTP and through the bus to where it is answered."""

import re

import pytest
import pytest_asyncio
from aiohttp import web

from contracts import registry
from contracts.kinds import ANYONE, Call, get
from contracts.people import Nothing
from contracts.permissions import ROLES, Role
from services.gateway.app import Parts, application
from services.gateway.routes import PREFIX, Routes, Undeclared
from tests.conftest import service_bus
from tests.gateway.client import Client
from tests.gateway.neighbours import neighbours

CALLS = [call for call in registry.calls() if call.http]
NAME = "someone-else"

KEY = "U" + "A" * 55
BODIES = {
    "gateway.people.create": {"name": "someone", "password": "long enough, this", "roles": ["viewer"]},
    "gateway.tokens.create": {"label": "matrix"},
    "resources.integrations.create": {"name": "i-x", "calls": ["jobs.runs.list"]},
    "resources.hosts.revoke": {"why": "matrix"},
    "resources.targets.resolve": {"targets": {"all": True}},
    "resources.join_tokens.create": {"idc": "js"},
    "resources.enrolment.challenge": {"user_key": KEY},
    "resources.enrolment.enrol": {"token": "t", "nonce": "n", "user_key": KEY, "box_key": KEY, "signature": "s"},
    "jobs.runs.start": {"script": "true", "targets": {"all": True}},
}
"""What a call needs besides its path; one whose struct has required fields must stand here."""
QUERIES = {"jobs.runs.search": {"text": "x"}}


@pytest_asyncio.fixture(scope="module", autouse=True)
async def others(nats):
    async with neighbours(nats) as made:
        yield made


async def send(client, call):
    path = re.sub(r"{\w+}", NAME, call.http.path)
    if call.http.method in {"POST", "PUT"}:
        return await client.send(call.http.method, path, json=BODIES.get(call.subject, {}))
    return await client.send(call.http.method, path, params=QUERIES.get(call.subject, {}))


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
        assert answer.status not in {401, 403, 422}, answer
        if call.service != "gateway":
            [(subject, _, principal)] = others.reached
            assert subject == call.subject
            assert principal.roles == (role,)


def test_every_call_with_an_address_has_a_route_and_every_route_a_permission(application_routes):
    for call in CALLS:
        assert (call.http.method, PREFIX + call.http.path) in application_routes
    open_to_all = {"/api/openapi.json", "/api/docs", "/api/docs.css", "/healthz", "/readyz", "/metrics"}
    for _, path in application_routes:
        assert path.startswith(PREFIX + "/") or path in open_to_all


def test_no_start_with_an_undeclared_permission():
    undeclared = Call("jobs.secret", Nothing, Nothing, needs="jobs:whatever", http=get("/secret"))
    with pytest.raises(Undeclared, match="jobs:whatever"):
        Routes(None, None, None).of_calls([undeclared])


def test_no_start_with_a_field_that_no_query_can_carry():
    nested = Call("jobs.secret", registry.runs.StartRun, Nothing, needs="runs:read", http=get("/secret"))
    with pytest.raises(TypeError, match="targets"):
        Routes(None, None, None).of_calls([nested])


@pytest.fixture
def application_routes(nats):
    app: web.Application = application(service_bus(nats, "gateway"), None, Parts(None, None, None, None), secure=False)
    return {(route.method, route.resource.canonical) for route in app.router.routes()}
