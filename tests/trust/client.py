"""Plain NATS clients with real credentials, and what the server said to them."""

import asyncio
import ssl
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from nats.aio.client import Client, RawCredentials
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from runtime import nats_jwt
from runtime.nats_jwt import Key, Kind
from tests.servers import NatsPlane, until

LONG_S = 3600
PROBE = b"probe"


@dataclass
class Peer:
    """One connection: what it was refused, and whether it was closed for good."""

    client: Client = field(default_factory=Client)
    errors: list[str] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    key: Key = field(default_factory=lambda: Key.make(Kind.USER))
    credentials: str = ""

    async def refused_to_publish(self, subject: str) -> bool:
        """Publish, and tell whether the server refused exactly that."""
        return await self._refused(self.client.publish(subject, b"x"), "publish", subject)

    async def refused_to_subscribe(self, subject: str, queue: str = "") -> bool:
        return await self._refused(self.client.subscribe(subject, queue=queue), "subscription", subject)

    async def settled(self) -> None:
        """Wait until the server has taken everything, so that a refusal would have come.

        Twice, because nats-py writes a flush's PING before what is still pending.
        """
        await self.client.flush(timeout=30)
        await self.client.flush(timeout=30)

    async def _refused(self, action: object, kind: str, subject: str) -> bool:
        before = len(self.errors)
        await action  # type: ignore[misc]
        await self.settled()
        said = f'permissions violation for {kind} to "{subject.lower()}"'
        return any(said in error.lower() for error in self.errors[before:])

    async def hears(self, subject: str) -> "Ear":
        ear = Ear(await self.client.subscribe(subject))
        await self.settled()
        return ear


@dataclass
class Ear:
    subscription: Subscription

    async def next(self, timeout_s: float = 60) -> Msg:
        """The next message that is no probe of `reaches`."""
        while True:
            message = await self.subscription.next_msg(timeout=timeout_s)
            if message.data != PROBE:
                return message

    @property
    def silent(self) -> bool:
        return self.subscription.pending_msgs == 0


async def hang_up(client: Client) -> None:
    """Also of a client that was refused: nats-py leaves its socket open, and closing it the long way may hang."""
    if client.is_connected:
        await client.close()
    elif client._transport is not None:
        client._transport.close()  # type: ignore[no-untyped-call]


class Clients:
    """Makes peers and hangs them up in the end."""

    def __init__(self, plane: NatsPlane) -> None:
        self.plane = plane
        self._peers: list[Peer] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for peer in self._peers:
            await hang_up(peer.client)

    async def service(self, name: str, url: str = "") -> Peer:
        """A service at the hub with its credentials file."""
        content = self.plane.trust.credentials(name).read_text()
        return await self.connect(url or self.plane.hub_url, content, f"_INBOX.{name}")

    async def claims(self) -> Peer:
        """The one who announces changed accounts, as resources does."""
        content = self.plane.trust.credentials("claims").read_text()
        return await self.connect(self.plane.hub_url, content, "_INBOX.resources")

    async def agent(
        self,
        host: str,
        idc: str,
        *,
        url: str = "",
        lifetime_s: float = LONG_S,
        credentials: str = "",
    ) -> Peer:
        """An agent at the leaf of its IDC, or at `url`; with fresh credentials, or those that are given."""
        peer = Peer()
        peer.credentials = credentials or nats_jwt.credentials(
            self.agent_jwt(host, idc, peer.key, lifetime_s), peer.key.seed
        )
        return await self.connect(url or self.plane.leaf_urls[idc], peer.credentials, f"_INBOX.{idc}.{host}", peer)

    def agent_jwt(self, host: str, idc: str, key: Key, lifetime_s: float = LONG_S) -> str:
        trust = self.plane.trust
        expires = int(time.time() + lifetime_s)
        user = nats_jwt.agent_user(host, idc, key=key.public, account=trust.account_key("APP"), expires=expires)
        return nats_jwt.user_jwt(user, self._signer("agent"), time.time())

    async def integration(self, name: str, calls: list[str], events: list[str]) -> Peer:
        trust, peer = self.plane.trust, Peer()
        user = nats_jwt.integration_user(
            name,
            calls,
            events,
            key=peer.key.public,
            account=trust.account_key("APP"),
            expires=int(time.time() + LONG_S),
        )
        jwt = nats_jwt.user_jwt(user, self._signer("integration"), time.time())
        content = nats_jwt.credentials(jwt, peer.key.seed)
        return await self.connect(self.plane.hub_url, content, f"_INBOX.{name}", peer)

    def _signer(self, role: str) -> Key:
        return Key(self.plane.trust.signing_seed("APP", role).read_text())

    async def connect(
        self, url: str, credentials: str, inbox: str, peer: Peer | None = None, *, reconnect: bool = False
    ) -> Peer:
        """Raises nats' errors when the server refuses. `credentials` is the content of a file, or its path."""
        peer = peer or Peer()

        async def on_error(error: Exception) -> None:
            peer.errors.append(str(error))

        async def on_closed() -> None:
            peer.closed.set()

        # Also one that is refused is hung up in the end: nats-py leaves its socket open.
        self._peers.append(peer)
        source = RawCredentials(credentials) if credentials.startswith("---") else credentials
        await peer.client.connect(
            url,
            user_credentials=source,
            inbox_prefix=inbox,
            tls=ssl.create_default_context(cafile=self.plane.trust.ca),
            tls_handshake_first=True,
            error_cb=on_error,
            closed_cb=on_closed,
            allow_reconnect=reconnect,
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            connect_timeout=30,
        )
        return peer


async def reaches(listener: Ear, speaker: Peer, subject: str) -> Msg:
    """Publish until it arrives: interest needs a moment to cross a leaf."""

    async def heard() -> bool:
        await speaker.client.publish(subject, PROBE)
        await speaker.settled()
        return not listener.silent

    await until(heard, f"{subject} arrives")
    return await listener.subscription.next_msg(timeout=30)
