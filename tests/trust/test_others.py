"""What services, relays and integrations can say and hear, and what the servers refuse them."""

import pytest
from nats.errors import NoRespondersError

from bootstrap.permissions import SERVICES
from runtime.nats_jwt import NO_EVENT
from tests.servers import NatsPlane
from tests.trust.client import Clients, reaches


@pytest.mark.parametrize("caller", SERVICES)
async def test_a_service_calls_under_its_own_name_only(clients: Clients, caller: str) -> None:
    service = await clients.service(caller)

    assert not await service.refused_to_publish(f"svc.{caller}.jobs.runs.list")
    for other in {*SERVICES, "i-billing", "scheduler"} - {caller}:
        assert await service.refused_to_publish(f"svc.{other}.jobs.runs.start")


@pytest.mark.parametrize("caller", SERVICES)
async def test_a_service_hears_its_own_calls_and_answers_only(clients: Clients, caller: str) -> None:
    service = await clients.service(caller)

    assert not await service.refused_to_subscribe(f"svc.*.{caller}.>", queue=caller)
    assert not await service.refused_to_subscribe("$SRV.PING")
    for other in {*SERVICES} - {caller}:
        assert await service.refused_to_subscribe(f"svc.*.{other}.>", queue=other)
        assert await service.refused_to_subscribe(f"_INBOX.{other}.>")
    for everything in (">", "_INBOX.>", "svc.>", "cmd.>", "res.*.*.*", "$SYS.>", "$JS.>"):
        assert await service.refused_to_subscribe(everything)


@pytest.mark.parametrize("caller", ["gateway", "resources"])
async def test_only_jobs_commands_hosts_and_touches_results(clients: Clients, caller: str) -> None:
    service = await clients.service(caller)

    for subject in (
        "cmd.js.h.h1",
        "cmd.js.body",
        "evt.jobs.run.r1",
        "$JS.API.STREAM.UPDATE.RESULTS",
        "$JS.API.STREAM.DELETE.RESULTS",
        "$JS.API.STREAM.PURGE.RESULTS",
        "$JS.API.CONSUMER.CREATE.RESULTS.mine",
        "$JS.API.CONSUMER.MSG.NEXT.RESULTS.ingest",
        "$JS.ACK.RESULTS.ingest.1.1.1.1.1",
    ):
        assert await service.refused_to_publish(subject)


async def test_jobs_reads_results_but_never_purges_or_deletes_streams(clients: Clients) -> None:
    jobs = await clients.service("jobs")

    for subject in ("$JS.API.STREAM.PURGE.RESULTS", "$JS.API.STREAM.DELETE.EVENTS", "$JS.API.STREAM.CREATE.OTHER"):
        assert await jobs.refused_to_publish(subject)
    for subject in ("$JS.API.CONSUMER.MSG.NEXT.RESULTS.ingest", "$JS.ACK.RESULTS.ingest.1.1.1.1.1"):
        assert not await jobs.refused_to_publish(subject)


async def test_the_announcer_of_accounts_can_do_nothing_else(clients: Clients) -> None:
    announcer = await clients.claims()

    for subject in ("$SYS.REQ.SERVER.PING", "$SYS.REQ.CLAIMS.DELETE", "$SYS.REQ.CLAIMS.LIST", "svc.resources.jobs.x"):
        assert await announcer.refused_to_publish(subject)
    for subject in (">", "$SYS.>", "$SYS.ACCOUNT.*.CONNECT", "_INBOX.>"):
        assert await announcer.refused_to_subscribe(subject)


async def test_a_relay_carries_nothing_of_another_idc(clients: Clients, plane: NatsPlane) -> None:
    jobs = await clients.service("jobs")
    acks = await jobs.hears("ack.*.*.jobs-1")
    own = await clients.agent("h1", "js")
    await reaches(acks, own, "ack.js.h1.jobs-1")
    # The leaf of js lets it in, since its JWT is good: what the hub hears is what the relay may carry.
    strayed = await clients.agent("h9", "bj", url=plane.leaf_urls["js"])
    commands = await strayed.hears("cmd.bj.h.h9")
    answers = await strayed.hears("_INBOX.bj.h9.x")

    assert not await strayed.refused_to_publish("ack.bj.h9.jobs-1")
    await own.client.publish("ack.js.h1.jobs-1", b"after")
    assert (await acks.next()).data == b"after"

    await jobs.client.publish("cmd.bj.h.h9", b"run", reply="ack.bj.h9.jobs-1")
    nobody = await acks.next()
    assert nobody.headers is not None
    assert nobody.headers["Status"] == "503"
    await jobs.client.publish("_INBOX.bj.h9.x", b"answer")
    await reaches(await own.hears("cmd.js.h.h1"), jobs, "cmd.js.h.h1")
    assert commands.silent
    assert answers.silent


async def test_stolen_service_credentials_are_worth_nothing_behind_a_relay(clients: Clients, plane: NatsPlane) -> None:
    gateway = await clients.service("gateway")
    events = await gateway.hears("evt.>")
    stolen = await clients.service("jobs", url=plane.leaf_urls["js"])
    other = await clients.agent("h5", "bj")
    commands = await other.hears("cmd.bj.h.h5")
    jobs = await clients.service("jobs")
    await reaches(commands, jobs, "cmd.bj.h.h5")

    await stolen.client.publish("cmd.bj.h.h5", b"forged")
    await stolen.client.publish("evt.jobs.run.r1", b"forged")
    await stolen.settled()
    with pytest.raises(NoRespondersError):
        await stolen.client.request("$JS.API.STREAM.INFO.RESULTS", b"", timeout=30)
    with pytest.raises(NoRespondersError):
        await stolen.client.request("svc.jobs.resources.hosts.list", b"", timeout=30)

    # Whatever the leaf had let through would have come before these.
    await jobs.client.publish("evt.jobs.run.r2", b"true")
    await jobs.client.publish("cmd.bj.h.h5", b"true")
    assert [(await events.next()).data, (await commands.next()).data] == [b"true", b"true"]


async def test_an_integration_publishes_its_calls_only(clients: Clients) -> None:
    calls = ["jobs.runs.start", "jobs.runs.show", "resources.join_tokens.create"]
    billing = await clients.integration("i-billing", calls, ["jobs.run"])

    for call in calls:
        assert not await billing.refused_to_publish(f"svc.i-billing.{call}")
    for subject in (
        "svc.i-billing.jobs.runs.stop",
        "svc.i-billing.jobs.runs",
        "svc.i-billing.jobs.runs.start.more",
        "svc.i-other.jobs.runs.start",
        "svc.gateway.jobs.runs.start",
        "evt.jobs.run.r1",
        "cmd.js.h.h1",
        "_INBOX.i-billing.x",
        "$JS.API.STREAM.INFO.EVENTS",
        "$SRV.PING",
    ):
        assert await billing.refused_to_publish(subject)


async def test_an_integration_hears_its_events_and_answers_only(clients: Clients) -> None:
    billing = await clients.integration("i-billing", ["jobs.runs.start"], ["jobs.run", "resources.host"])
    jobs, resources = await clients.service("jobs"), await clients.service("resources")

    assert (await reaches(await billing.hears("evt.jobs.run.*"), jobs, "evt.jobs.run.r1")).subject == "evt.jobs.run.r1"
    hosts = await billing.hears("evt.resources.host.>")
    assert (await reaches(hosts, resources, "evt.resources.host.h1")).subject == "evt.resources.host.h1"
    for subject in (
        "evt.>",
        "evt.jobs.>",
        "evt.jobs.outcomes.>",
        "_INBOX.>",
        "_INBOX.i-other.>",
        "svc.>",
        "cmd.>",
        ">",
    ):
        assert await billing.refused_to_subscribe(subject)


async def test_an_integration_without_events_still_gets_answers(clients: Clients) -> None:
    quiet = await clients.integration("i-quiet", ["jobs.runs.list"], [])
    jobs = await clients.service("jobs")
    questions = await jobs.hears("svc.*.jobs.runs.list")
    answers = await quiet.hears("_INBOX.i-quiet.x")

    await quiet.client.publish("svc.i-quiet.jobs.runs.list", b"?", reply="_INBOX.i-quiet.x")
    await jobs.client.publish((await questions.next()).reply, b"!")

    assert (await answers.next()).data == b"!"
    assert await quiet.refused_to_subscribe("evt.jobs.run.*")
    assert not await quiet.refused_to_subscribe(f"evt.{NO_EVENT}.*")
