"""The bus over the real servers, with the real credentials."""

import asyncio

import msgspec
import pytest
import pytest_asyncio
import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars
from structlog.testing import capture_logs

from contracts import hosts, people, runs, subjects
from contracts.errors import Conflict, Forbidden, Invalid, ServiceError, Unauthenticated, Unavailable
from contracts.hosts import HostRef, Hosts, ListHosts
from contracts.kinds import Call
from contracts.people import Nothing, Principal
from contracts.permissions import Grant, Role, Scope
from runtime.authorize import Undeclared
from runtime.bus import StreamSettings, answer, streams
from runtime.bus.connection import NoResponders
from tests.conftest import service_bus
from tests.servers import until

ADMIN = Principal(kind="person", name="ada", roles=(Role.ADMIN,), via="session")
VIEWER = Principal(kind="person", name="vic", roles=(Role.VIEWER,), via="token")


@pytest_asyncio.fixture
async def gateway(nats):
    async with service_bus(nats, "gateway") as bus:
        yield bus


@pytest_asyncio.fixture
async def resources(nats):
    async with service_bus(nats, "resources") as bus:
        yield bus


async def nobody(_request, _principal):
    return Hosts(hosts=[])


async def test_a_call_is_answered_and_the_handler_sees_who_asks(gateway, resources):
    seen = []

    async def list_hosts(request, principal):
        seen.append((request.search, principal))
        return Hosts(hosts=[], next="more")

    await resources.serve([answer(hosts.list_hosts, list_hosts)])
    reply = await gateway.call(hosts.list_hosts, ListHosts(search="web"), principal=VIEWER)
    assert reply.next == "more"
    assert seen == [("web", VIEWER)]


async def test_who_asks_arrives_whole_whatever_their_scope_is_called(gateway, resources):
    seen = []

    async def list_hosts(_request, principal):
        seen.append(principal)
        return Hosts(hosts=[])

    names = ("商城", 'a "b" \\ c\r\nd: e', *(f"{n}" + "x" * 190 for n in range(40)))
    scope = Scope(businesses=names)
    grants = tuple(Grant(permissions=("hosts:read",), scope=scope) for _ in range(8))
    scoped = Principal(kind="person", name="kim", roles=("shop",), grants=grants, via="session", address="::1")
    await resources.serve([answer(hosts.list_hosts, list_hosts)])
    await gateway.call(hosts.list_hosts, ListHosts(), principal=scoped)
    assert seen == [scoped]


async def test_nothing_is_answered_while_one_of_the_calls_has_no_declared_permission(gateway, resources):
    undeclared = Call("resources.secret", Nothing, Nothing, needs="hosts:whatever")
    with pytest.raises(Undeclared, match="hosts:whatever"):
        await resources.serve([answer(hosts.list_hosts, nobody), answer(undeclared, nobody)])
    with pytest.raises(Unavailable):
        await gateway.call(hosts.list_hosts, ListHosts(), principal=VIEWER)


async def test_only_the_gateway_speaks_for_others(nats, resources):
    seen = []

    async def list_hosts(_request, principal):
        seen.append(principal)
        return Hosts(hosts=[])

    await resources.serve([answer(hosts.list_hosts, list_hosts)])
    async with service_bus(nats, "jobs") as jobs:
        await jobs.call(hosts.list_hosts, ListHosts(), principal=ADMIN)
    assert seen == [Principal(kind="service", name="jobs")]


async def test_a_refusal_reaches_the_caller_as_the_same_error(gateway, resources):
    async def refuse(_request, _principal):
        raise Conflict("host.changed_meanwhile", "Someone was faster.", {"by": "eve"})

    await resources.serve([answer(hosts.show_host, refuse)])
    with pytest.raises(Conflict) as refusal:
        await gateway.call(hosts.show_host, HostRef(host="h-1"), principal=VIEWER)
    assert (refusal.value.reason, refusal.value.details) == ("host.changed_meanwhile", {"by": "eve"})


async def test_a_crash_tells_the_caller_nothing_but_a_reference(gateway, resources):
    async def crash(_request, _principal):
        raise RuntimeError("password=hunter2")

    await resources.serve([answer(hosts.show_host, crash)])
    clear_contextvars()
    bind_contextvars(trace_id="t-1")
    with pytest.raises(ServiceError) as failure:
        await gateway.call(hosts.show_host, HostRef(host="h-1"), principal=VIEWER)
    assert failure.value.details == {"ref": "t-1"}
    assert "hunter2" not in str(failure.value)


async def test_who_lacks_the_permission_is_told_which(gateway, resources):
    await resources.serve([answer(hosts.revoke_host, nobody)])
    with pytest.raises(Forbidden, match="hosts:enrol"):
        await gateway.call(hosts.revoke_host, hosts.RevokeHost(host="h-1", why="x"), principal=VIEWER)
    with pytest.raises(Unauthenticated):
        await gateway.call(
            hosts.revoke_host, hosts.RevokeHost(host="h-1", why="x"), principal=Principal(kind="anonymous", name="")
        )


async def test_nobody_listening_is_unavailable(gateway):
    with pytest.raises(Unavailable):
        await gateway.call(hosts.list_join_tokens, hosts.Nothing(), principal=ADMIN)


@pytest.mark.parametrize(
    "data", [b"{", b"[" * 100_000, b'{"host": 3}', b'{"host": "a.b"}', b"\xff", b'{"host":"h","x":1']
)
async def test_a_malformed_request_is_invalid(gateway, resources, data):
    await resources.serve([answer(hosts.show_host, nobody)])
    reply = await gateway.connection.request(subjects.call("gateway", hosts.show_host.subject), data)
    assert reply.headers["Nats-Service-Error-Code"] in {"400", "403"}


@pytest.mark.parametrize(
    ("call", "request_text"),
    [
        (runs.start, r'{"script": "true", "targets": {"all": true}, "name": "a\u0000b"}'),
        (runs.start, r'{"script": "true", "targets": {"all": true}, "idempotency_key": "\\\u0000"}'),
        (runs.start, r'{"script": "true", "targets": {"hostnames": ["\u0000"]}}'),
        (runs.start, r'{"script": "true", "targets": {"all": true}, "env": {"A\u0000": ""}}'),
        (hosts.list_hosts, r'{"search": "\u0000"}'),
        (hosts.change_host, r'{"host": "h-1", "business": "a\u0000"}'),
        (people.create_token, r'{"label": "a\u0000"}'),
    ],
)
async def test_no_text_of_any_call_holds_a_nul(nats, gateway, call, request_text):
    admin = {"Drover-Principal": msgspec.json.encode(ADMIN).decode()}
    async with service_bus(nats, call.service) as answering:
        await answering.serve([answer(call, nobody)])
        reply = await gateway.connection.request(
            subjects.call("gateway", call.subject), request_text.encode(), headers=admin
        )
    assert msgspec.json.decode(reply.data)["reason"] == "bus.malformed"


async def test_a_backslash_before_it_makes_it_text(gateway, resources):
    seen = []

    async def list_hosts(request, _principal):
        seen.append(request.search)
        return Hosts(hosts=[])

    await resources.serve([answer(hosts.list_hosts, list_hosts)])
    await gateway.call(hosts.list_hosts, ListHosts(search=r"printf '\u0000'"), principal=ADMIN)
    assert seen == [r"printf '\u0000'"]


async def test_unknown_fields_are_ignored_on_the_bus(gateway, resources):
    await resources.serve([answer(hosts.list_hosts, nobody)])
    reply = await gateway.connection.request(
        subjects.call("gateway", hosts.list_hosts.subject),
        b'{"invented_later": 1}',
        headers={"Drover-Principal": msgspec.json.encode(VIEWER).decode()},
    )
    assert msgspec.json.decode(reply.data, type=Hosts) == Hosts(hosts=[])


async def test_a_reply_subject_outside_the_callers_inbox_gets_nothing(nats, gateway, resources):
    called, heard = [], []

    async def list_hosts(_request, _principal):
        called.append(True)
        return Hosts(hosts=[])

    async def listen(message):
        heard.append(message)

    await resources.serve([answer(hosts.list_hosts, list_hosts)])
    async with service_bus(nats, "jobs") as jobs:
        await jobs.hear(subjects.inbox("jobs", "stolen"), listen)
        await jobs.connection.flush()
        for forged in (
            subjects.inbox("jobs", "stolen"),
            subjects.command("js", "h-1"),
            "svc.resources.jobs.runs.start",
        ):
            await gateway.connection.publish(subjects.call("gateway", hosts.list_hosts.subject), b"{}", reply=forged)
        await gateway.connection.flush()
        await until(lambda: resources.counters["reply_refused"] == 3, "three forged replies are counted")
        await jobs.connection.flush()
    assert (called, heard) == ([], [])


async def test_slow_requests_do_not_hold_up_each_other(gateway, resources):
    everyone_in = asyncio.Event()
    waiting = 0

    async def slow(_request, _principal):
        nonlocal waiting
        waiting += 1
        if waiting == 20:
            everyone_in.set()
        await everyone_in.wait()
        return Hosts(hosts=[])

    await resources.serve([answer(hosts.list_hosts, slow)])
    await asyncio.gather(*(gateway.call(hosts.list_hosts, ListHosts(), principal=VIEWER) for _ in range(20)))


async def test_no_more_requests_at_once_than_the_bound(nats, gateway):
    running = most = 0

    async def slow(_request, _principal):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return Hosts(hosts=[])

    async with service_bus(nats, "resources", concurrency=3) as narrow:
        await narrow.serve([answer(hosts.list_hosts, slow)])
        await asyncio.gather(*(gateway.call(hosts.list_hosts, ListHosts(), principal=VIEWER) for _ in range(30)))
    assert 1 <= most <= 3


async def test_a_request_taken_before_the_stop_is_still_answered(nats, gateway):
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(_request, _principal):
        entered.set()
        await leave.wait()
        return Hosts(hosts=[], next="kept")

    async with service_bus(nats, "resources") as resources:
        await resources.serve([answer(hosts.list_hosts, slow)])
        pending = asyncio.create_task(gateway.call(hosts.list_hosts, ListHosts(), principal=VIEWER))
        await entered.wait()
        closing = asyncio.create_task(resources.close())
        leave.set()
        await closing
    assert (await pending).next == "kept"


async def test_the_trace_follows_the_call_into_the_other_sides_log(gateway, resources):
    await resources.serve([answer(hosts.list_hosts, nobody)])
    clear_contextvars()
    bind_contextvars(trace_id="t-42")
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        await gateway.call(hosts.list_hosts, ListHosts(), principal=VIEWER)
        await until(lambda: any(line["event"] == "request.answered" for line in lines), "the answer is logged")
    answered = [line for line in lines if line["event"] == "request.answered"]
    assert {line["trace_id"] for line in answered} == {"t-42"}


async def test_a_killed_hub_is_found_again_and_calls_go_on(nats, gateway, resources):
    await resources.serve([answer(hosts.list_hosts, nobody)])
    came_back = asyncio.Event()

    async def hello():
        came_back.set()

    resources.connection.on_connect(hello)
    await nats.kill("hub")
    await until(lambda: not gateway.connected, "the loss is noticed")
    with pytest.raises(Unavailable):
        await gateway.call(hosts.list_hosts, ListHosts(), principal=VIEWER)
    await nats.start("hub")
    await came_back.wait()
    await until(lambda: gateway.connected, "the gateway is back")
    assert await gateway.call(hosts.list_hosts, ListHosts(), principal=VIEWER) == Hosts(hosts=[])
    for idc in nats.leaf_urls:
        await nats.joined(idc)


async def test_any_nats_tool_can_list_the_services(gateway, resources, nats):
    await resources.serve([answer(hosts.list_hosts, nobody)])
    async with service_bus(nats, "jobs") as jobs:
        await jobs.discovery.start()
        described = jobs.discovery._describe("INFO")
    assert described["type"] == "io.nats.micro.v1.info_response"
    assert described["name"] == "jobs"


@pytest_asyncio.fixture
async def jobs(nats):
    async with service_bus(nats, "jobs") as bus:
        await streams.ensure_stream(
            bus.connection,
            StreamSettings(name="EVENTS", subjects=("evt.>",), retention="limits", max_bytes=2**24, discard="old"),
        )
        yield bus


async def test_an_event_is_heard_and_kept(gateway, jobs):
    heard = asyncio.Queue()
    await gateway.hear("evt.jobs.>", heard.put)
    await gateway.connection.flush()
    message = runs.OutputStored(run="r1", hosts=["h-1"])
    await jobs.announce(runs.output_stored, message)
    assert msgspec.json.decode((await heard.get()).data, type=runs.OutputStored) == message
    kept = await streams.read_from(gateway.connection, "EVENTS", "evt.jobs.output.r1", 1)
    assert msgspec.json.decode(kept.data, type=runs.OutputStored) == message
    assert await streams.read_from(gateway.connection, "EVENTS", "evt.jobs.output.r1", kept.sequence + 1) is None


async def test_publishing_to_nobody_says_so(jobs):
    with pytest.raises(NoResponders):
        await streams.publish(jobs.connection, "cmd.js.h.nobody", b"x", message_id="1")


async def test_a_message_that_is_too_large_for_the_bus_is_refused_here(gateway):
    with pytest.raises(Invalid, match="larger than the bus"):
        await gateway.call(
            runs.start, runs.StartRun(script="x" * 2**20, targets=hosts.Targets(all=True)), principal=ADMIN
        )
