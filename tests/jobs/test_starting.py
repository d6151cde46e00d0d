"""What is refused before anything is started, and what counts as the same request."""

import asyncio

import msgspec
import pytest

from contracts import runs
from contracts.agents import MAX_SCRIPT_BYTES
from contracts.errors import Conflict, Forbidden, Invalid, ServiceError
from contracts.people import Principal
from contracts.permissions import Role
from contracts.runs import MASK, ListRuns, Parameter
from contracts.states import LIVE_RUN
from runtime.bus.bus import PRINCIPAL
from runtime.signing import sha256
from tests.jobs.rig import OPERATOR, VIEWER

BOB = Principal(kind="person", name="bob", roles=(Role.OPERATOR,), via="session")


async def nothing_began(jobs):
    return not await jobs.documents("runs") and not await jobs.documents("waves")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"script": "x" * (MAX_SCRIPT_BYTES + 1)}, "run.script_too_large"),
        ({"script": "\x01" * 140_000}, "run.script_too_large"),
        ({"env": {"LD_PRELOAD": "x"}}, "run.refused_variable"),
        ({"parameters": (Parameter(name="A", value="1"), Parameter(name="A", value="2"))}, "run.duplicate_parameter"),
        ({"args": ("x" * 8000,) * 30}, "run.arguments_too_large"),
        ({"expect_hash": "another"}, "targets.changed"),
        ({"script": "a\0b"}, "bus.malformed"),
        ({"args": ("a\0b",)}, "bus.malformed"),
        ({"timeout_s": 0}, "bus.malformed"),
        ({"account": "Root; rm"}, "bus.malformed"),
    ],
)
async def test_what_is_refused_starts_nothing(jobs, fields, reason):
    agent = await jobs.agent("h-1")
    with pytest.raises(ServiceError) as refusal:
        await jobs.start("h-1", **fields)
    assert refusal.value.reason == reason
    assert await nothing_began(jobs)
    assert not agent.heard


async def test_resources_words_about_targets_reach_the_person(jobs):
    with pytest.raises(Invalid) as refusal:
        await jobs.start()
    assert refusal.value.reason == "targets.empty"
    assert await nothing_began(jobs)


async def test_the_expected_set_of_hosts_is_accepted(jobs):
    jobs.known("h-1", "h-2")
    run = await jobs.start("h-1", "h-2", expect_hash=sha256(b"h-1\nh-2"))
    assert run.targets_hash == sha256(b"h-1\nh-2")


async def test_a_viewer_starts_nothing(jobs):
    jobs.known("h-1")
    with pytest.raises(Forbidden):
        await jobs.start("h-1", by=VIEWER)
    assert await nothing_began(jobs)


async def test_one_key_starts_one_run_however_often_it_is_sent(jobs):
    agent = await jobs.agent("h-1")
    started = await asyncio.gather(*(jobs.start("h-1", idempotency_key="k") for _ in range(6)))
    await jobs.ended(started[0])

    assert len({run.id for run in started}) == 1
    assert (await jobs.start("h-1", idempotency_key="k")).id == started[0].id
    assert sum(agent.started.values()) == 1
    with pytest.raises(Conflict) as refusal:
        await jobs.start("h-1", idempotency_key="k", script="another")
    assert refusal.value.reason == "run.idempotency_mismatch"
    assert (await jobs.start("h-1", idempotency_key="k", by=BOB)).id != started[0].id
    assert (await jobs.start("h-1")).id != (await jobs.start("h-1")).id


async def test_a_masked_value_is_part_of_the_same_request(jobs):
    jobs.known("h-1")
    one, other = (Parameter(name="P", value=value, masked=True) for value in ("a", "b"))
    run = await jobs.start("h-1", idempotency_key="k", parameters=(one,))
    assert run.parameters[0].value == MASK

    assert (await jobs.start("h-1", idempotency_key="k", parameters=(one,))).id == run.id
    with pytest.raises(Conflict):
        await jobs.start("h-1", idempotency_key="k", parameters=(other,))


BAD = [
    b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b"[" * 5000, b'{"run":' * 5000,
    b'{"script":"\\ud800","targets":{"all":true}}',
    b'{"script":"x","targets":{"all":true},"env":{"A":"\\ud800\\u0041"}}',
    b'{"script":"x","targets":"all"}', b'{"script":1,"targets":{}}',
    b'{"run":"../x"}', b'{"run":"a.b"}', b'{"run":"*"}', b'{"run":{"$gt":""}}', b'{"run":"x\\n"}', b'{"run":""}',
    b'{"run":"x","limit":0}', b'{"run":"x","limit":-1}', b'{"run":"x","limit":1e400}', b'{"after":{"$gt":""}}',
    b'{"run":"x","host":"*","offset":99999999999999999999999}', b'{"run":"x","host":"y","offset":9007199254740993}',
    b'{"run":"x","text":""}', b'{"run":"x","text":"\\u0000"}', b'{"states":["nonsense"]}', b'{"by":"\\u0000$where"}',
    b'{"run":"x","after":"\\u0000","outcomes":["lost"]}',
]  # fmt: skip


@pytest.mark.parametrize(
    "call",
    [runs.start, runs.list_runs, runs.show, runs.list_host_results, runs.read_output, runs.search_output, runs.stop, runs.retry],
    ids=lambda call: call.subject,
)  # fmt: skip
async def test_no_input_makes_the_service_crash(jobs, call):
    jobs.known("h-1")
    headers = {PRINCIPAL: msgspec.json.encode(OPERATOR).decode()}
    run = await jobs.start("h-1")
    for bad in [*BAD, *(each.replace(b'"x"', f'"{run.id}"'.encode()) for each in BAD)]:
        answer = await jobs.gateway.connection.request(f"svc.gateway.{call.subject}", bad, headers=headers)
        if "Nats-Service-Error-Code" in answer.headers:
            assert msgspec.json.decode(answer.data)["reason"] != "internal", bad
    assert jobs.database is not None


async def test_runs_are_listed_newest_first_page_by_page_and_chosen_by_state_and_person(jobs):
    await jobs.agent("h-1")
    jobs.known("h-2")
    ids = [
        (await jobs.ended(await jobs.start("h-1", name=f"run {n}", by=BOB if n % 2 else OPERATOR))).id for n in range(5)
    ]
    waiting = (await jobs.start("h-2", offline_wait_s=3600)).id

    async def listed(**fields):
        found, after = [], ""
        while True:
            page = await jobs.ask(runs.list_runs, ListRuns(after=after, limit=2, **fields))
            found += [run.id for run in page.runs]
            after = page.next
            if not after:
                return found

    assert await listed() == [waiting, *reversed(ids)]
    assert await listed(by="bob") == [ids[3], ids[1]]
    assert await listed(states=tuple(LIVE_RUN)) == [waiting]
    assert await listed(states=tuple(LIVE_RUN), by="bob") == []


async def test_a_run_that_could_not_be_shown_is_not_started(jobs):
    """12,000 targets by name make a reply that the bus does not carry."""
    names = [f"h-{n:060d}" for n in range(12_000)]
    jobs.known(*names)
    with pytest.raises(Invalid) as refusal:
        await jobs.start(*names)
    assert refusal.value.reason == "run.script_too_large"
    assert await nothing_began(jobs)
