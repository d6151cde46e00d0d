"""Revoked means cut: at once where a server is there, and as soon as one comes back that was not."""

import asyncio
import contextlib
import shutil
import time
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from bootstrap import nats_config
from contracts import hosts, subjects
from contracts.agents import AgentCall
from contracts.errors import Conflict, Forbidden, NotFound
from contracts.hosts import HostRef, HostState, RenewCredentials, Renewed, RevokeHost
from contracts.people import Principal
from runtime import nats_jwt
from runtime.bus import Bus, Connection, Options
from runtime.nats_jwt import Key
from services.resources.app import running
from services.resources.revocations.announcer import Announcer
from services.resources.revocations.store import Revocation, RevocationStore
from tests.resources.conftest import service, settings
from tests.resources.people import OPERATOR, Agent, Keys
from tests.servers import NatsPlane, nats_plane, until


@pytest_asyncio.fixture(scope="module")
async def own(tmp_path_factory):
    """Servers that these tests may kill, and the folder of their state."""
    folder = tmp_path_factory.mktemp("own")
    async with nats_plane(folder) as plane:
        yield plane, folder


@pytest_asyncio.fixture(scope="module")
async def ask(own, mongo):
    async with service(own[0], mongo.url) as asker:
        yield asker


@pytest_asyncio.fixture
async def join(ask, tmp_path):
    async with contextlib.AsyncExitStack() as stack:

        async def make(idc="js", keys=None):
            keys = keys or Keys()
            enrolled = await ask.enrol(await ask.token(idc), keys=keys)
            return await stack.enter_async_context(Agent(tmp_path, keys, enrolled))

        yield make


async def revoke(ask, host):
    return await ask(hosts.revoke_host, RevokeHost(host=host, why="stolen"))


def refused(agent):
    """Cut, and not let in again."""
    return lambda: not agent.connection.connected and "Authorization" in agent.connection.last_error


def at_hub(own):
    """What the hub keeps as revoked: user key → issued until."""
    plane, folder = own
    account = plane.trust.account_key("APP")
    return nats_jwt.revocations((nats_config.accounts_folder(folder, "hub") / f"{account}.jwt").read_text())


async def test_a_live_connection_is_cut_and_not_let_in_again(ask, join, own):
    victim, witness = await join(), await join()
    host = await revoke(ask, victim.host)
    assert (host.revoked, host.state, host.presence.online) == (True, HostState.RETIRED, False)
    await until(refused(victim), "the revoked host is cut and stays out")
    assert witness.connection.connected
    assert witness.connection.counters["connected"] == 1
    assert victim.keys.user.public in at_hub(own)
    kept = await ask.database["hosts"].find_one({"_id": victim.host})
    assert (kept["revocation"]["by"], kept["revocation"]["why"]) == ("ada", "stolen")


async def test_a_leaf_that_was_down_cuts_when_it_learns(ask, join, own):
    plane, _ = own
    victim = await join("bj")
    await plane.kill("leaf-bj")
    await revoke(ask, victim.host)
    await plane.start("leaf-bj")
    await plane.joined("bj")
    await until(refused(victim), "the leaf has learned of the revocation")


async def test_concurrent_revocations_by_two_instances_lose_nothing(ask, join, own):
    agents = [await join(idc) for idc in ("js", "bj") * 8]
    await asyncio.gather(*(revoke(ask, agent.host) for agent in agents))
    for agent in agents:
        await until(refused(agent), "every one is cut")
    assert {agent.keys.user.public for agent in agents} <= at_hub(own).keys()


class Overtaken(RevocationStore):
    """Once `meanwhile` is set: right after the list was read, another instance stores and announces a longer one."""

    meanwhile = None

    async def needed(self):
        read = await super().needed()
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return read


async def test_an_announcement_that_was_overtaken_is_mended(ask, own):
    plane, _ = own
    key = Key(plane.trust.operator_signing_seed.read_text())
    store = Overtaken(ask.database)
    async with (
        Announcer(store, claims(plane), key) as other,
        Announcer(store, claims(plane), key) as slow,
    ):
        for each in (other, slow, other, slow):  # what they say at their start is said
            assert await each.announce()

        async def meanwhile():
            await store.add(Revocation("ULATE", int(time.time()), datetime.now(UTC) + timedelta(days=1)))
            assert await other.announce()
            assert "ULATE" in at_hub(own)

        store.meanwhile = meanwhile
        assert await slow.announce()
        assert store.meanwhile is None
    assert "ULATE" in at_hub(own)


def claims(plane):
    options = Options(
        name="claims",
        servers=(plane.hub_url,),
        credentials=plane.trust.credentials("claims"),
        ca=plane.trust.ca,
        inbox=subjects.inbox("resources"),
    )
    return Connection(options)


async def test_a_hub_that_forgot_is_told_again(ask, join, own):
    plane, folder = own
    victim = await join()
    await revoke(ask, victim.host)
    await until(refused(victim), "cut")
    await plane.kill("hub")
    shutil.rmtree(nats_config.accounts_folder(folder, "hub"))
    await plane.start("hub")
    await until(lambda: victim.keys.user.public in at_hub(own), "the hub knows the revocation again")
    for bus in (ask.bus, *ask.services):
        await bus.connection.wait_connected()
    for idc in plane.leaf_urls:
        await plane.joined(idc)


async def test_what_was_stored_but_not_announced_is_announced_at_the_next_start(ask, join, own, mongo):
    victim = await join()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    stored = Revocation(victim.keys.user.public, int(time.time()), tomorrow)
    await RevocationStore(ask.database).add(stored)  # as if an instance had died right after its transaction
    assert victim.connection.connected
    async with running(settings(own[0], mongo.url, ask.database.name)):
        await until(refused(victim), "the new instance announces it")


async def test_another_instance_whose_clock_is_ahead_does_not_hide_a_revocation(ask, join, own):
    victim = await join()
    far = int(time.time()) + 5000
    await ask.database["account"].update_one({"_id": "APP"}, {"$max": {"issued": far}})
    await revoke(ask, (await join()).host)  # announced with a date far ahead
    await revoke(ask, victim.host)
    await until(refused(victim), "a later announcement has a later date")
    assert (await ask.database["account"].find_one({"_id": "APP"}))["issued"] > far


async def test_entries_that_nobody_needs_are_dropped(ask, join, own):
    past = datetime.now(UTC) - timedelta(seconds=1)
    await RevocationStore(ask.database).add(Revocation("UOLD", 1, past))
    victim = await join()
    await revoke(ask, victim.host)
    await until(lambda: victim.keys.user.public in at_hub(own), "announced")
    assert "UOLD" not in at_hub(own)


async def test_an_entry_lives_as_long_as_the_newest_credentials(ask, join):
    victim = await join()
    renewed = nats_jwt.read((await victim.renew()).jwt)
    await revoke(ask, victim.host)
    entry = await ask.database["revocations"].find_one({"_id": victim.keys.user.public})
    assert entry["needed_until"].timestamp() == renewed["exp"]
    assert entry["issued_until"] >= renewed["iat"]


async def test_credentials_issued_by_a_clock_that_is_ahead_are_covered_too(ask, join):
    victim = await join()
    ahead = int(time.time()) + 3600
    await ask.database["hosts"].update_one({"_id": victim.host}, {"$set": {"issued_at": ahead}})
    victim.take((await victim.renew()).jwt)
    await victim.connection.reconnect()
    await until(lambda: victim.connection.counters["connected"] == 2, "it has credentials dated ahead")
    await revoke(ask, victim.host)
    await until(refused(victim), "even those are revoked")


async def test_a_key_that_enrols_anew_loses_its_old_connection_only(ask, join):
    old = await join()
    new = await join(keys=old.keys)
    assert new.host != old.host
    await until(refused(old), "the old host is cut")
    assert new.connection.connected
    assert nats_jwt.read((await new.renew()).jwt)["name"] == new.host
    await revoke(ask, new.host)
    await until(refused(new), "the new one can be revoked as well")


async def test_renewed_credentials_are_taken_by_the_servers(ask, join):
    agent = await join("bj")
    first = nats_jwt.read((await agent.renew()).jwt)
    agent.take((await agent.renew()).jwt)
    await agent.connection.reconnect()
    await until(lambda: agent.connection.counters["connected"] == 2, "it is connected anew")
    assert (first["name"], first["sub"], first["nats"]["tags"]) == (agent.host, agent.keys.user.public, ["idc:bj"])


async def test_credentials_are_renewed_for_known_hosts_of_that_idc_only(ask, join, own):
    """Asked by a relay that lies about its own IDC's hosts; the broker lets it say no more than that."""
    known, foreign = await join("js"), await join("bj")
    await revoke(ask, known.host)
    for host, kind, reason in (
        ("h-nobody", NotFound, "host.unknown"),
        (foreign.host, NotFound, "host.unknown"),
        (known.host, Conflict, "host.revoked"),
    ):
        async with relay(own[0], host) as bus:
            with pytest.raises(kind) as told:
                await bus.ask_services("js", host, AgentCall.RENEW, RenewCredentials(), Renewed)
            assert told.value.reason == reason


def relay(plane: NatsPlane, host: str) -> Bus:
    """What leaf js may say and hear, straight at the hub, in the name of `host`."""
    options = Options(
        name="leaf-js",
        servers=(plane.hub_url,),
        credentials=plane.trust.credentials("leaf-js"),
        ca=plane.trust.ca,
        inbox=subjects.inbox("js", host),
    )
    return Bus(Connection(options), "leaf-js", "leaf-js")


async def test_revoking_twice_is_one_revocation(ask, join):
    host = (await join()).host
    first = await revoke(ask, host)
    second = await ask(hosts.revoke_host, RevokeHost(host=host, why="again"))
    assert second == first
    assert (await ask(hosts.show_host, HostRef(host=host))).revision == 2


async def test_only_known_hosts_and_only_by_admins(ask, join):
    with pytest.raises(NotFound) as told:
        await revoke(ask, "h-nobody")
    assert told.value.reason == "host.unknown"
    viewer = Principal(kind="person", name="vic", roles=(), via="session")
    for by in (OPERATOR, viewer):
        with pytest.raises(Forbidden):
            await ask(hosts.revoke_host, RevokeHost(host="h-nobody", why="x"), by)


async def test_of_two_account_jwts_the_newer_is_kept(ask):
    store = RevocationStore(ask.database)
    now, (made, _) = int(time.time()), await store.next_issue(0)
    try:
        await store.offer_account("older", 1)
        assert (await store.next_issue(now))[0] == made
        await store.offer_account("newer", now + 10_000)
        jwt, issued = await store.next_issue(now)
        assert (jwt, issued >= now + 10_000) == ("newer", True)
        assert (await store.next_issue(now))[1] == issued + 1
    finally:
        await ask.database["account"].update_one({"_id": "APP"}, {"$set": {"jwt": made, "made": 1}})
