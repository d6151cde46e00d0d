"""Who is there is heard, written in batches, and told once."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from contracts import hosts, subjects
from contracts.agents import Heartbeat, Hello
from contracts.hosts import ChangeHost, HostFacts, ListHosts, RevokeHost
from runtime.bus import Bus, Connection, Options
from tests.servers import until


async def online(ask, host):
    return (await ask.show(host)).presence.online


async def test_a_host_is_online_from_its_first_sign_of_life(ask, enrolled, told):
    agent = await enrolled()
    assert not await online(ask, agent.host)
    await agent.heartbeat("t1", "t2")
    await until(lambda: online(ask, agent.host), "a heartbeat makes it online")
    shown = (await ask.show(agent.host)).presence
    assert shown.open_tasks == 2
    assert abs(shown.last_seen - datetime.now(UTC)) < timedelta(seconds=60)
    assert (await ask.resolve(ids=(agent.host,))).hosts[0].online
    await until(lambda: (agent.host, "online") in told, "online is announced")
    assert [what for host, what in told if host == agent.host] == ["enrolled", "online"]


async def test_offline_is_seen_by_the_clock_even_if_nobody_announced_it(ask, enrolled):
    agent = await enrolled()
    await agent.heartbeat()
    await until(lambda: online(ask, agent.host), "online")
    forgotten = {"presence.last_seen": datetime.now(UTC) - timedelta(hours=1), "presence.online": True}

    async def offline():  # the other instance may still have the heartbeat to write
        await ask.database["hosts"].update_one({"_id": agent.host}, {"$set": forgotten})
        return not await online(ask, agent.host)

    await until(offline, "nobody has said so, and it is offline")


async def test_hosts_are_listed_by_whether_they_are_there(ask, enrolled):
    here, away = await enrolled(), await enrolled()
    await here.heartbeat()

    async def ids(is_online):
        return [host.id for host in (await ask(hosts.list_hosts, ListHosts(online=is_online))).hosts]

    async def split():
        await here.heartbeat()
        return await ids(True) == [here.host] and await ids(False) == [away.host]

    await until(split, "one is online and the other is not")


async def test_a_hello_brings_facts_and_leaves_what_people_entered(ask, enrolled, told):
    agent = await enrolled(hostname="old", ips=("10.0.0.1",))
    await ask.places("business:shop")
    request = ChangeHost(host=agent.host, business="shop", tags=("web",), labels={"rack": "7"})
    before = await ask(hosts.change_host, request)
    facts = HostFacts(hostname="New", ips=("10.0.0.2", "127.0.0.1"), kernel="7.0")
    await agent.hello(facts)

    async def merged():
        return (await ask.show(agent.host)).facts == facts

    await until(merged, "the facts are merged")
    after = await ask.show(agent.host)
    assert (after.hostname, after.ips) == ("new", ("10.0.0.2",))
    assert (after.business, after.tags, after.labels) == ("shop", ("web",), {"rack": "7"})
    assert after.revision == before.revision, "a change made by a person must not clash with facts"
    await until(lambda: told.count((agent.host, "changed")) == 2, "both changes are announced")
    await agent.hello(facts)
    await agent.heartbeat("t")

    async def heard_again():
        return (await ask.show(agent.host)).presence.open_tasks == 1

    await until(heard_again, "the second hello was taken")
    assert told.count((agent.host, "changed")) == 2, "the same facts are no news"


async def test_a_relay_cannot_speak_for_a_host_of_another_idc(ask, enrolled, nats):
    """The leaf's credentials hold it to its IDC, so a forged message names the host under the wrong one."""
    victim, witness = await enrolled("bj", hostname="bj-1"), await enrolled("js")
    async with _relay(nats) as relay:
        forged = Hello(boot_id="b", version="1", facts=HostFacts(hostname="forged", ips=("10.0.0.9",)))
        await victim_said(relay, subjects.hello("js", victim.host), forged)
        await victim_said(relay, subjects.heartbeat("js", victim.host), Heartbeat(boot_id="b", version="1"))
        await witness.heartbeat()
        await until(lambda: online(ask, witness.host), "what came after the forgery is written")
    shown = await ask.show(victim.host)
    assert (shown.hostname, shown.ips, shown.presence.last_seen) == ("bj-1", (), None)


def _relay(nats):
    """A connection that may say what leaf js may, straight at the hub."""
    options = Options(
        name="leaf-js",
        servers=(nats.hub_url,),
        credentials=nats.trust.credentials("leaf-js"),
        ca=nats.trust.ca,
        inbox=subjects.inbox("js"),
    )
    return Bus(Connection(options), "leaf-js", "leaf-js")


async def victim_said(bus, subject, message):
    await bus.connection.publish(subject, msgspec.json.encode(message))
    await bus.connection.flush()
    assert bus.counters["permission_violation"] == 0


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b"\xff",
        b'{"boot_id": 1}',
        b'{"boot_id":"b","version":"1","facts":{"cpus":1e99}}',
        b'{"boot_id":"b","version":"1","facts":{"hostname":"%s"}}' % (b"x" * 500_000),
    ],
)
async def test_what_cannot_be_read_is_passed_over(ask, enrolled, said):
    agent = await enrolled(hostname="same")
    await agent.connection.publish(subjects.hello(agent.idc, agent.host), said)
    await agent.connection.publish(subjects.heartbeat(agent.idc, agent.host), b"nothing")
    await agent.heartbeat("t")
    await until(lambda: online(ask, agent.host), "the next heartbeat is heard")
    assert (await ask.show(agent.host)).hostname == "same"


async def test_a_revoked_host_is_not_there(ask, enrolled):
    agent = await enrolled()
    await agent.heartbeat()
    await until(lambda: online(ask, agent.host), "online")
    await ask(hosts.revoke_host, RevokeHost(host=agent.host, why="stolen"))
    assert not await online(ask, agent.host)


async def test_strangers_leave_no_trace(ask, nats):
    async with _relay(nats) as relay:
        for _ in range(3):
            await victim_said(relay, subjects.heartbeat("js", "h-stranger"), Heartbeat(boot_id="b", version="1"))
        known = await ask.host("js")
        await victim_said(relay, subjects.heartbeat("js", known), Heartbeat(boot_id="b", version="1"))
        await until(lambda: online(ask, known), "the heartbeat after it is written")
    assert await ask.database["hosts"].count_documents({}) == 1
