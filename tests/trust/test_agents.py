"""What an agent can say and hear on the bus, and what the servers refuse it."""

import asyncio

import pytest
from nats.errors import NoRespondersError
from nats.js.api import RetentionPolicy, StreamConfig
from nats.js.errors import NoStreamResponseError

from runtime.nats_jwt import Key, Kind, credentials
from tests.servers import NatsPlane, until
from tests.trust.client import Clients, Peer, reaches

NOT_ITS_OWN = [
    "ack.js.h2.jobs-1",
    "ack.bj.h1.jobs-1",
    "ack.js.h1",
    "out.js.h2.t1",
    "res.js.h2.t1",
    "res.bj.h1.t1",
    "hb.js.h2",
    "hb.bj.h1",
    "hello.js.h2",
    "hello.bj.h1",
    "rpc.agent.js.h2.jobs.body",
    "rpc.agent.bj.h1.jobs.body",
]
NOT_FOR_AGENTS = [
    "cmd.js.h.h1",
    "cmd.js.h.h2",
    "cmd.js.body",
    "svc.gateway.jobs.runs.start",
    "svc.js.jobs.runs.start",
    "evt.jobs.run.r1",
    "_INBOX.js.h1.x",
    "_INBOX.jobs.x",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.CREATE.MINE",
    "$JS.hub.API.INFO",
    "$JS.ACK.RESULTS.ingest.1.1.1.1.1",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.CLAIMS.UPDATE",
    "$SRV.PING",
]
NOT_TO_BE_HEARD = [
    "cmd.js.h.h2",
    "cmd.js.h.*",
    "cmd.js.>",
    "cmd.>",
    "cmd.bj.body",
    "cmd.bj.h.h1",
    ">",
    "*",
    "_INBOX.>",
    "_INBOX.js.>",
    "_INBOX.js.h2.>",
    "_INBOX.jobs.>",
    "ack.>",
    "res.js.h1.*",
    "hb.*.*",
    "svc.>",
    "evt.>",
    "$JS.>",
    "$SYS.>",
    "$SRV.>",
]


@pytest.fixture
async def agent(clients: Clients) -> Peer:
    return await clients.agent("h1", "js")


@pytest.mark.parametrize("subject", NOT_ITS_OWN + NOT_FOR_AGENTS)
async def test_an_agent_cannot_publish(agent: Peer, subject: str) -> None:
    assert await agent.refused_to_publish(subject)


@pytest.mark.parametrize("subject", NOT_TO_BE_HEARD)
@pytest.mark.parametrize("queue", ["", "jobs"])
async def test_an_agent_cannot_hear(agent: Peer, subject: str, queue: str) -> None:
    assert await agent.refused_to_subscribe(subject, queue)


async def test_the_same_is_refused_at_the_hub(clients: Clients, plane: NatsPlane) -> None:
    manager = await clients.agent("h0", "mgmt", url=plane.hub_url)
    assert await manager.refused_to_publish("ack.js.h1.jobs-1")
    assert await manager.refused_to_publish("$JS.API.STREAM.LIST")
    assert await manager.refused_to_subscribe("cmd.>")


async def test_an_agent_hears_its_commands_and_acknowledges_them(clients: Clients, agent: Peer) -> None:
    jobs = await clients.service("jobs")
    acks = await jobs.hears("ack.*.*.jobs-1")

    await reaches(await agent.hears("cmd.js.h.h1"), jobs, "cmd.js.h.h1")
    await reaches(await agent.hears("cmd.js.body"), jobs, "cmd.js.body")
    await reaches(acks, agent, "ack.js.h1.jobs-1")
    await agent.client.publish("ack.js.h1.jobs-1", b"accepted")

    assert (await acks.next()).data == b"accepted"
    assert agent.errors == []


async def test_presence_and_live_output_arrive_at_those_who_listen(clients: Clients, agent: Peer) -> None:
    jobs, resources, gateway = [await clients.service(name) for name in ("jobs", "resources", "gateway")]
    for service, pattern, subject in [
        (jobs, "hb.*.*", "hb.js.h1"),
        (jobs, "hello.*.*", "hello.js.h1"),
        (resources, "hb.*.*", "hb.js.h1"),
        (resources, "hello.*.*", "hello.js.h1"),
        (gateway, "out.*.*.t1", "out.js.h1.t1"),
    ]:
        assert (await reaches(await service.hears(pattern), agent, subject)).subject == subject
    assert [peer.errors for peer in (agent, jobs, resources, gateway)] == [[], [], [], []]


async def test_an_agent_is_answered_in_its_own_inbox(clients: Clients, agent: Peer) -> None:
    jobs = await clients.service("jobs")
    questions = await jobs.client.subscribe("rpc.agent.*.*.jobs.>", queue="jobs")

    async def answered() -> bool:
        try:
            question = agent.client.request("rpc.agent.js.h1.jobs.body", b"which", timeout=10)
            return (await question).data == b"this"
        except (NoRespondersError, TimeoutError):
            return False

    async def answer() -> None:
        async for message in questions.messages:
            assert message.reply.startswith("_INBOX.js.h1.")
            await jobs.client.publish(message.reply, b"this")

    answering = asyncio.create_task(answer())
    try:
        await until(answered, "an answer to the agent")
    finally:
        answering.cancel()


async def test_a_result_is_acknowledged_by_the_hub_and_known_when_it_comes_twice(clients: Clients, agent: Peer) -> None:
    jobs = await clients.service("jobs")
    stream = StreamConfig(name="RESULTS", subjects=["res.*.*.*"], retention=RetentionPolicy.WORK_QUEUE)
    await jobs.client.jetstream().add_stream(stream)
    results = agent.client.jetstream()

    async def taken() -> bool:
        try:
            return (await results.publish("res.js.h1.t0", b"early")).seq > 0
        except NoStreamResponseError:
            return False

    await until(taken, "the leaf knows of the stream")
    first = await results.publish("res.js.h1.t1", b"done", headers={"Nats-Msg-Id": "t1.h1.0"})
    again = await results.publish("res.js.h1.t1", b"done", headers={"Nats-Msg-Id": "t1.h1.0"})

    assert (first.stream, first.domain, bool(first.duplicate)) == ("RESULTS", "hub", False)
    assert (again.seq, again.duplicate) == (first.seq, True)


async def test_nobody_there_is_known_at_once(clients: Clients) -> None:
    jobs = await clients.service("jobs")
    acks = await jobs.hears("ack.*.*.jobs-1")

    await jobs.client.publish("cmd.js.h.absent", b"run", reply="ack.js.absent.jobs-1")

    answer = await acks.next()
    assert answer.subject == "ack.js.absent.jobs-1"
    assert answer.headers is not None
    assert answer.headers["Status"] == "503"


async def test_an_agent_has_no_more_subscriptions_than_it_needs(agent: Peer) -> None:
    for number in range(70):
        await agent.client.subscribe(f"_INBOX.js.h1.{number}")

    await until(agent.closed.is_set, "the agent is cut")
    assert "maximum subscriptions" in str(agent.client.last_error)


async def test_a_jwt_serves_only_the_key_it_was_made_for(clients: Clients, plane: NatsPlane) -> None:
    owner, thief = Key.make(Kind.USER), Key.make(Kind.USER)
    stolen = credentials(clients.agent_jwt("h1", "js", owner), thief.seed)

    with pytest.raises(Exception, match=r"(?i)authorization violation"):
        await clients.connect(plane.leaf_urls["js"], stolen, "_INBOX.js.h1")
