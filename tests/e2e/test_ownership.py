"""Whoever is bound to a scope is answered about an object outside of it exactly as about one that does not exist.

Every route with a parameter in its path stands here, by the first word of the path: in OBJECTS, and then each of its
calls is made for an object inside, one outside and an unknown one; or in NOT_SCOPED, with the reason. A new route
below a known word is tested before anybody thinks of it; one below a new word fails until somebody decides.

The principal is an API token of an admin, bound in one way; the objects are another admin's.
"""

import asyncio
import itertools
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest
import pytest_asyncio

from contracts import depot, registry
from contracts.hosts import HostFacts
from contracts.kinds import Call
from contracts.permissions import INDIVISIBLE
from services.gateway.pages.download import download
from services.resources.integrations.model import GRANTABLE
from tests.e2e.plain_nats import PlainNats
from tests.plane import Plane
from tests.resources.people import Keys
from tests.smallest import smallest_fields

BY_HAND = (download, *(each for each in vars(depot).values() if isinstance(each, Call)))
CALLS = registry.calls()
PATHS = [call for call in (*registry.calls(), *BY_HAND) if call.http and "{" in call.http.path]
NUMBERS = itertools.count(1)


class Object(NamedTuple):
    """How the objects below one word of the address are made, and which bound of a scope holds them."""

    bound: dict[str, list[str]]
    unknown: dict[str, Any]
    """Names in the path that nothing has."""
    make: Callable[[Plane, bool], Awaitable[dict[str, Any]]]
    """A new one, inside of the bound or outside: its names in the path."""


async def ask(plane: Plane, method: str, path: str, body: Any = None, token: str = "") -> Any:
    status, said = await plane.api(method, path, body, token=token)
    assert status < 300, said
    return said


async def a_host(plane: Plane, inside: bool) -> dict[str, Any]:
    """Enrolled as an agent does it; no agent ever comes."""
    business = "shop" if inside else "bank"
    token = (await ask(plane, "POST", "/join-tokens", {"idc": "js", "business": business}))["secret"]
    keys = Keys()
    nonce = (await ask(plane, "POST", "/enrolment/challenge", {"user_key": keys.user.public}))["nonce"]
    asked = keys.request(nonce, token, HostFacts(hostname=f"host-{next(NUMBERS)}"))
    proof = {name: getattr(asked, name) for name in ("token", "nonce", "user_key", "box_key", "signature")}
    return {"host": (await ask(plane, "POST", "/enrolment", proof))["host"]}


async def a_business(plane: Plane, inside: bool) -> dict[str, Any]:
    """What an earlier test made of it is as good."""
    place = {"path": "shop" if inside else "bank", "kind": "business"}
    await plane.api("POST", "/places", place)
    return place


async def a_run(plane: Plane, inside: bool) -> dict[str, Any]:
    host = await a_host(plane, inside)
    run = await ask(plane, "POST", "/runs", {"script": "true", "targets": {"ids": [host["host"]]}})
    return {"run": run["id"], **host}


async def a_group(plane: Plane, inside: bool) -> dict[str, Any]:
    name = "ours" if inside else f"theirs-{next(NUMBERS)}"
    if inside:  # the scope names one group, so there is one, and what a test did to it is forgotten
        await plane.api("DELETE", f"/groups/{name}")
    await ask(plane, "POST", "/groups", {"name": name})
    return {"name": name}


async def an_account(plane: Plane, inside: bool) -> dict[str, Any]:
    alias = "ours" if inside else f"theirs-{next(NUMBERS)}"
    if inside:
        await plane.api("DELETE", f"/accounts/{alias}")
    await ask(plane, "POST", "/accounts", {"alias": alias, "os_user": "nobody"})
    return {"alias": alias}


FIRST = {"version": 1, "before": 1, "after": 1}


async def a_script(plane: Plane, inside: bool) -> dict[str, Any]:
    name = f"script-{next(NUMBERS)}"
    made = {"name": name, "text": "true\n", "tags": ["ours" if inside else "theirs"]}
    await ask(plane, "POST", "/scripts", made)
    return {"name": name, **FIRST}


async def variables_of_a_host(plane: Plane, inside: bool) -> dict[str, Any]:
    return {"scope": f"host:{(await a_host(plane, inside))['host']}"}


BUSINESS = {"businesses": ["shop"]}
NO_HOST = {"host": "h-000000000000"}
OBJECTS = {
    "hosts": Object(BUSINESS, NO_HOST, a_host),
    "runs": Object(BUSINESS, {"run": "nobody-knows", **NO_HOST}, a_run),
    "variables": Object(BUSINESS, {"scope": "host:h-000000000000"}, variables_of_a_host),
    "places": Object(BUSINESS, {"path": "nobody-knows", "kind": "business"}, a_business),
    "groups": Object({"groups": ["ours"]}, {"name": "nobody-knows"}, a_group),
    "accounts": Object({"accounts": ["ours"]}, {"alias": "nobody-knows"}, an_account),
    "scripts": Object({"script_tags": ["ours"]}, {"name": "nobody-knows", **FIRST}, a_script),
}

NOT_SCOPED = {
    # Indivisible permissions: a bounded principal gets no answer but 403, see the last test.
    "people",
    "roles",
    "integrations",
    "imports",
    "sources",
    "collectors",
    "collections",
    # One's own only, whatever the scope; of others they are unknown: test_sessions.py, test_people_and_tokens.py and
    # test_depot.py of tests/gateway.
    "tokens",
    "sessions",
    "uploads",
    # What there is to know of hosts, which everybody sees who sees hosts.
    "attributes",
    # They say to which business a host comes: whoever is bounded gets no answer but 403, too.
    "join-tokens",
    # What no bound of a scope names: whoever may use these may use all of them.
    "files",
    "templates",
}


def word(call) -> str:
    return call.http.path.split("/")[1]


def test_every_route_with_a_parameter_has_its_row():
    words = {word(call) for call in PATHS}
    assert words - OBJECTS.keys() - NOT_SCOPED == set(), "decide who may touch these"
    assert (OBJECTS.keys() | NOT_SCOPED) - words == set()
    assert OBJECTS.keys() & NOT_SCOPED == set()


@pytest_asyncio.fixture(scope="module")
async def bounded(bare_plane: Plane):
    """Word → a token of somebody who may do everything, within the bound of the word."""
    admin = await bare_plane.person("bounded", ["admin"])
    return {
        name: (await ask(bare_plane, "POST", "/tokens", {"label": name, "scope": each.bound}, admin))["secret"]
        for name, each in OBJECTS.items()
    }


async def made(plane: Plane, call, names: dict[str, Any], token: str) -> tuple[int, dict[str, Any]]:
    """The answer to the call about what goes by these names, and if it is a refusal, `_` for each of them in it."""
    given = {name: value for name, value in names.items() if name in call.request.__struct_fields__}
    fields = {**smallest_fields(call.request), **given}
    path = re.sub(r"{(\w+)}", lambda match: quote(str(fields.pop(match[1])), safe=""), call.http.path)
    reads = call.http.method in {"GET", "DELETE"}
    query = f"?{urlencode(fields)}" if reads and fields else ""
    headers = {"Authorization": f"Bearer {token}"}
    sent = {} if reads else {"json": fields}
    async with plane.http.request(
        call.http.method, f"{plane.url}/api/v1{path}{query}", headers=headers, **sent
    ) as answer:
        text = await answer.text()
        if not answer.headers["Content-Type"].startswith("application/problem+json"):
            return answer.status, {}
    for name in re.findall(r"[\w-]{2,}", " ".join(map(str, names.values()))):
        text = text.replace(name, "_")
    return answer.status, {**json.loads(text), "reference": ""}


@pytest.mark.parametrize("call", [call for call in PATHS if word(call) in OBJECTS], ids=lambda call: call.subject)
async def test_an_object_outside_is_answered_like_one_that_does_not_exist(bare_plane: Plane, bounded, call):
    kind, token = OBJECTS[word(call)], bounded[word(call)]
    status, unknown = await made(bare_plane, call, kind.unknown, token)
    assert status == 404 or unknown["reason"] == "auth.forbidden", unknown
    outside = await kind.make(bare_plane, False)
    assert await made(bare_plane, call, outside, token) == (status, unknown)
    for who, thing in ((token, await kind.make(bare_plane, True)), (bare_plane.token, outside)):
        status, said = await made(bare_plane, call, thing, who)
        assert status < 500, said
        assert status != 404, "it was there, and was the principal's to know"


MENTIONS = {
    "resources.targets.resolve": ("hosts", lambda names: {"targets": {"ids": [names["host"]]}}),
    "resources.groups.of_hosts": ("hosts", lambda names: {"hosts": [names["host"]]}),
    "resources.hosts.edit": ("hosts", lambda names: {"filter": {"ids": [names["host"]]}, "add_tags": ["x"]}),
    "config.variables.effective": ("hosts", lambda names: {"hosts": [names["host"]]}),
    "jobs.runs.start": ("hosts", lambda names: {"script": "true", "targets": {"ids": [names["host"]]}}),
}
"""Calls that name an object in their body: of which word, and how."""


@pytest.mark.parametrize("subject", MENTIONS)
async def test_an_object_outside_is_unknown_in_a_body_too(bare_plane: Plane, bounded, subject):
    call = next(call for call in registry.calls() if call.subject == subject)
    kind, body = OBJECTS[MENTIONS[subject][0]], MENTIONS[subject][1]

    async def said_of(names: dict[str, Any]) -> tuple[int, str]:
        token = bounded[MENTIONS[subject][0]]
        status, said = await bare_plane.api(call.http.method, call.http.path, body(names), token=token)
        told = {**said, "reference": "", "id": ""}
        return status, json.dumps(told).replace(names["host"], "_")

    unknown = await said_of(kind.unknown)
    assert await said_of(await kind.make(bare_plane, False)) == unknown
    assert await said_of(await kind.make(bare_plane, True)) != unknown


@pytest.mark.parametrize("name", OBJECTS)
async def test_lists_leave_out_what_lies_outside(bare_plane: Plane, bounded, name):
    inside, outside = [await OBJECTS[name].make(bare_plane, each) for each in (True, False)]
    if name == "variables":
        for each in (inside, outside):
            await ask(bare_plane, "POST", f"/variables/{each['scope']}", {"text": "a: 1"})
    listed = json.dumps(await ask(bare_plane, "GET", f"/{name}?limit=100", token=bounded[name]))
    first = next(iter(inside))
    assert f'"{inside[first]}"' in listed
    assert f'"{outside[first]}"' not in listed


INDIVISIBLE_CALLS = [
    call for call in registry.calls() if call.http and (call.needs in INDIVISIBLE or word(call) == "join-tokens")
]


@pytest.mark.parametrize("call", INDIVISIBLE_CALLS, ids=lambda call: call.subject)
async def test_what_lies_in_no_scope_is_refused_to_whoever_is_bounded(bare_plane: Plane, bounded, call):
    status, said = await made(bare_plane, call, {}, bounded["hosts"])
    assert (status, said["reason"]) == (403, "auth.forbidden")


async def test_the_stream_of_a_run_outside_is_refused_like_that_of_none(bare_plane: Plane, bounded):
    async def opened(run: str) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {bounded['runs']}"}
        async with bare_plane.http.get(f"{bare_plane.url}/api/v1/stream?runs={run}", headers=headers) as answer:
            if answer.status == 200:  # it goes on for as long as somebody listens
                return 200, ""
            problem = await answer.json()
            return answer.status, problem["detail"].replace(run, "_")

    outside = (await a_run(bare_plane, False))["run"]
    assert await opened(outside) == await opened("nobody-knows")
    assert (await opened(outside))[0] == 404
    assert (await opened((await a_run(bare_plane, True))["run"]))[0] == 200


GIVEN_TO_PROGRAMS = [call for call in PATHS if call.needs in GRANTABLE and word(call) in OBJECTS and call in CALLS]


@pytest_asyncio.fixture(scope="module")
async def programs(bare_plane: Plane):
    """Word → a program that may make every call that programs are given, within the bound of the word."""
    calls = [call.subject for call in CALLS if call.needs in GRANTABLE]
    made = {}
    for name in {word(call) for call in GIVEN_TO_PROGRAMS}:
        await OBJECTS[name].make(bare_plane, True)
        wanted = {"name": f"i-{name}", "calls": calls, "scope": OBJECTS[name].bound}
        given = await ask(bare_plane, "POST", "/integrations", wanted)
        made[name] = PlainNats(given["servers"][0], given["credentials"], given["ca"], given["inbox_prefix"])
    yield made
    for each in made.values():
        each.close()


@pytest.mark.parametrize("call", GIVEN_TO_PROGRAMS, ids=lambda call: call.subject)
async def test_to_a_program_with_a_scope_too_what_lies_outside_does_not_exist(bare_plane: Plane, programs, call):
    kind, name = OBJECTS[word(call)], word(call)

    async def said_of(names: dict[str, Any]) -> tuple[str, str]:
        given = {field: value for field, value in names.items() if field in call.request.__struct_fields__}
        asked = {**smallest_fields(call.request), **given}
        headers, said = await asyncio.to_thread(programs[name].request, f"svc.i-{name}.{call.subject}", asked)
        text = json.dumps(said)
        for each in re.findall(r"[\w-]{2,}", " ".join(map(str, names.values()))):
            text = text.replace(each, "_")
        return headers.get("Nats-Service-Error-Code", ""), text

    code, unknown = await said_of(kind.unknown)
    assert code == "404" or "auth.forbidden" in unknown, unknown
    assert await said_of(await kind.make(bare_plane, False)) == (code, unknown)
    assert (await said_of(await kind.make(bare_plane, True)))[0] not in {"404", "500"}
