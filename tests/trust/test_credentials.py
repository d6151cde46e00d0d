"""How credentials end: they expire, are renewed, are revoked; and servers of another CA are not believed."""

import asyncio
import contextlib
import json
import re
import ssl
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from nats.errors import NoServersError

from bootstrap import nats_config, trust
from bootstrap.certificates import Authority
from bootstrap.files import write
from bootstrap.nats_config import Leaf
from runtime import nats_jwt
from runtime.nats_jwt import Key, Kind
from tests.servers import NatsPlane, Server, free_ports, nats_plane, until
from tests.trust.client import Clients, Peer, hang_up

SHORT_S = 10
"""A life that a test can outlive, and long enough to connect on a machine that stands still for a while."""
REFUSED = r"(?i)authorization violation|authentication expired|no servers available|unexpected eof"


@pytest.fixture
async def own_plane(tmp_path: Path) -> AsyncIterator[NatsPlane]:
    """A plane of the test's own, whose servers it may stop."""
    async with nats_plane(tmp_path) as running:
        yield running


async def revoke(clients: Clients, key: str) -> int:
    """Announce at the hub that users with this key are refused from now on; tells how many servers answered. It is said
    until all have: a leaf's interest needs a moment to cross to the hub."""
    plane = clients.plane
    account = plane.trust.account_key("APP")
    announced = nats_config.accounts_folder(plane.trust.folder.parent, "hub") / f"{account}.jwt"
    current = announced.read_text()
    revoked = {**nats_jwt.revocations(current), key: int(time.time())}
    signer = Key(plane.trust.operator_signing_seed.read_text())
    changed = nats_jwt.with_revocations(current, revoked, signer, time.time())

    claims = await clients.claims()
    answers = await claims.hears("_INBOX.resources.revoke")
    running = sum(not server.ended() for server in plane.servers.values())
    answered: set[str] = set()

    async def announced_to_all() -> bool:
        await claims.client.publish("$SYS.REQ.CLAIMS.UPDATE", changed.encode(), reply="_INBOX.resources.revoke")
        with contextlib.suppress(TimeoutError):
            while len(answered) < running:
                answer = json.loads((await answers.next(2)).data)
                assert answer["data"]["code"] == 200, answer
                answered.add(answer["server"]["id"])
        return len(answered) == running

    await until(announced_to_all, "all servers know of the revocation")
    return running


async def is_refused(clients: Clients, host: str, idc: str, credentials: str) -> bool:
    """Whether these credentials are refused, or the connection cut as soon as it is there.

    The same JWT again, since a revocation is of what was issued up to its second.
    """
    try:
        peer = await clients.agent(host, idc, credentials=credentials)
    except Exception as error:
        assert re.search(REFUSED, str(error)), error
        return True
    return peer.closed.is_set()


async def test_an_expired_jwt_is_cut_and_refused(clients: Clients) -> None:
    agent = await clients.agent("h1", "js", lifetime_s=SHORT_S)
    assert await agent.client.rtt(timeout=30) > 0

    await until(agent.closed.is_set, "the connection is cut")

    # Within its last second the server lets it in once more, and cuts it at once.
    await until(lambda: is_refused(clients, "h1", "js", agent.credentials), "the expired JWT is refused")


async def test_a_renewed_jwt_outlives_the_first(clients: Clients, plane: NatsPlane, tmp_path: Path) -> None:
    key, file = Key.make(Kind.USER), tmp_path / "agent.creds"
    first_ends = time.time() + SHORT_S
    write(file, nats_jwt.credentials(clients.agent_jwt("h1", "js", key, SHORT_S), key.seed).encode())
    agent = await clients.connect(plane.leaf_urls["js"], str(file), "_INBOX.js.h1", reconnect=True)

    write(file, nats_jwt.credentials(clients.agent_jwt("h1", "js", key), key.seed).encode())
    await agent.client.force_reconnect()

    await until(lambda: time.time() > first_ends + 1, "the first JWT expires")
    assert await agent.client.rtt(timeout=30) > 0
    assert not await agent.refused_to_publish("hb.js.h1")
    assert not agent.closed.is_set()


async def test_a_revocation_cuts_the_live_connection_and_refuses_its_return(clients: Clients) -> None:
    revoked, other = await clients.agent("h1", "js"), await clients.agent("h2", "js")

    assert await revoke(clients, revoked.key.public) == 3

    await until(revoked.closed.is_set, "the live connection is cut")
    assert await is_refused(clients, "h1", "js", revoked.credentials)
    assert await is_refused(clients, "h1", "bj", revoked.credentials)
    assert await other.client.rtt(timeout=30) > 0


async def test_a_leaf_that_was_down_learns_what_was_revoked(own_plane: NatsPlane) -> None:
    async with Clients(own_plane) as clients:
        agent = await clients.agent("h1", "bj")
        await own_plane.kill("leaf-bj")
        assert await revoke(clients, agent.key.public) == 2
        await own_plane.start("leaf-bj")

        await until(lambda: is_refused(clients, "h1", "bj", agent.credentials), "the leaf refuses what was revoked")


async def test_a_leaf_that_comes_back_cuts_whom_it_let_in_too_early(own_plane: NatsPlane) -> None:
    async with Clients(own_plane) as clients:
        first = await clients.agent("h1", "bj")
        await own_plane.kill("leaf-bj")
        await revoke(clients, first.key.public)
        # Without its hub the leaf cannot learn of it, and lets the agent in.
        await own_plane.kill("hub")
        await own_plane.start("leaf-bj")
        agent = await clients.agent("h1", "bj", credentials=first.credentials)
        assert not agent.closed.is_set()

        await own_plane.start("hub")

        await until(agent.closed.is_set, "the connection is cut")


async def test_a_restarted_hub_still_knows_what_was_revoked(own_plane: NatsPlane) -> None:
    async with Clients(own_plane) as clients:
        manager = await clients.agent("h0", "mgmt", url=own_plane.hub_url)
        await revoke(clients, manager.key.public)
        await own_plane.kill("hub")
        folder = own_plane.trust.folder
        trust.prepare(folder, ["js", "bj"], announced=nats_config.accounts_folder(folder.parent, "hub"))
        await own_plane.start("hub")

        with pytest.raises(Exception, match=REFUSED):
            await clients.agent("h0", "mgmt", url=own_plane.hub_url, credentials=manager.credentials)


async def test_a_server_of_another_ca_is_not_believed(clients: Clients, plane: NatsPlane, tmp_path: Path) -> None:
    other = Authority(tmp_path, datetime.now(UTC))
    stranger = ssl.create_default_context(cafile=other.certificate_file)
    peer = Peer()
    errors: list[str] = []

    async def on_error(error: Exception) -> None:
        errors.append(str(error))

    with pytest.raises((NoServersError, ssl.SSLError)):
        await peer.client.connect(
            plane.leaf_urls["js"],
            tls=stranger,
            tls_handshake_first=True,
            allow_reconnect=False,
            error_cb=on_error,
        )
    await hang_up(peer.client)
    assert "CERTIFICATE_VERIFY_FAILED" in str(errors)


async def test_a_relay_does_not_believe_a_hub_of_another_ca(plane: NatsPlane, tmp_path: Path) -> None:
    hub_port = plane.monitor("hub", "varz")["leaf"]["port"]
    material = trust.prepare(tmp_path / "trust", ["js"])
    port, monitor = free_ports(2)
    leaf = Leaf("js", (f"127.0.0.1:{hub_port}",), "127.0.0.1", port, monitor)
    config = nats_config.write_leaf(tmp_path, material, leaf)
    relay = Server("leaf", [str(nats_config.program()), "-c", str(config)], tmp_path / "leaf.log")
    relay.start()
    try:
        await until(lambda: "certificate signed by unknown authority" in relay.tail(), "the relay refuses the hub")
        assert plane.monitor("hub", "leafz")["leafnodes"] == 2 * len(plane.leaf_urls)
    finally:
        await relay.stop()


async def test_nothing_is_said_in_clear_text(plane: NatsPlane) -> None:
    port = int(plane.leaf_urls["js"].rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    writer.write(b"CONNECT {}\r\nPING\r\n")
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    await writer.wait_closed()

    assert b"INFO" not in answer
    assert b"PONG" not in answer


async def test_a_user_may_not_grant_itself_more_than_its_key_allows(clients: Clients, plane: NatsPlane) -> None:
    key = Key.make(Kind.USER)
    claims = nats_jwt.agent_user(
        "h1", "js", key=key.public, account=plane.trust.account_key("APP"), expires=int(time.time() + 3600)
    ).claims()
    claims["nats"] |= {"pub": {"allow": [">"]}, "sub": {"allow": [">"]}, "subs": -1, "data": -1, "payload": -1}
    signer = Key(plane.trust.signing_seed("APP", "agent").read_text())
    forged = nats_jwt.credentials(nats_jwt.sign(claims, signer, time.time()), key.seed)

    with pytest.raises(Exception, match=REFUSED):
        await clients.connect(plane.leaf_urls["js"], forged, "_INBOX.js.h1")


@pytest.mark.parametrize("signer", ["APP", "stranger"])
async def test_only_scoped_keys_make_users(clients: Clients, plane: NatsPlane, signer: str) -> None:
    seed = plane.trust.account_seed("APP").read_text() if signer == "APP" else Key.make(Kind.ACCOUNT).seed
    key = Key.make(Kind.USER)
    user = nats_jwt.agent_user(
        "h1", "js", key=key.public, account=plane.trust.account_key("APP"), expires=int(time.time() + 3600)
    )
    forged = nats_jwt.credentials(nats_jwt.user_jwt(user, Key(seed), time.time()), key.seed)

    with pytest.raises(Exception, match=REFUSED):
        await clients.connect(plane.leaf_urls["js"], forged, "_INBOX.js.h1")
