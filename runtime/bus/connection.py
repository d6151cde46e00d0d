"""One connection to NATS that comes back whatever ended it.

nats-py reconnects by itself after some failures and closes for good after others (an expired JWT, a refused login, a
full server, an oversized message). Here every loss takes the same path: the client is thrown away, another is built
after a jittered wait, and the subscriptions are made again. One path is one thing to test.

A read loop that died leaves a client "connected but deaf"; nats-py's own pings find that too, since the pongs are not
read any more: PING_INTERVAL_S * MAX_PINGS later the connection counts as stale.
"""

import asyncio
import contextlib
import random
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from runtime.background import ended

log = structlog.get_logger()

PING_INTERVAL_S = 20
MAX_PINGS = 2
FIRST_WAIT_S = 0.2
CONNECT_TIMEOUT_S = 10.0


class Disconnected(ConnectionError):
    """There is no connection right now, or it broke before an answer came; the supervisor is at work on it."""


class NoResponders(Disconnected):
    """The server knows of nobody who listens on this subject."""


@dataclass(frozen=True, slots=True)
class Message:
    subject: str
    data: bytes
    headers: Mapping[str, str]
    reply: str

    @property
    def no_responders(self) -> bool:
        """The server's own word that nobody listens on the subject that this answers."""
        return self.headers.get("Status") == "503" and not self.data


Handler = Callable[[Message], Coroutine[Any, Any, None]]
Hook = Callable[[], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Options:
    name: str
    """Shown in the server's monitoring."""
    servers: tuple[str, ...]
    credentials: Path
    """Read again at every connection, so that renewed credentials count from the next one on."""
    ca: Path
    inbox: str
    """Prefix of the subjects on which answers come back; the broker allows no other."""
    longest_wait_s: float = 15.0
    """Between two attempts to connect. Thousands of agents spread over it; a few services need not."""
    pending_bytes: int = 2 * 1024 * 1024
    """Bytes written but not yet sent. Small at agents, where the spool and not this buffer holds data."""


@dataclass(eq=False)
class Subscription:
    """A wish to hear a subject; it outlives the connection."""

    subject: str
    handler: Handler
    queue: str = ""
    pending_messages: int = 65_536
    _now: NatsSubscription | None = None


@lru_cache(maxsize=8)
def _tls(ca: Path, _changed: float) -> ssl.SSLContext:
    # Shared by all connections with one CA: a context costs more memory than everything else an idle agent holds.
    context = ssl.create_default_context(cafile=str(ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


@dataclass(eq=False)
class Connection:
    options: Options
    counters: Counter[str] = field(default_factory=Counter)
    _client: Client | None = None
    _subscriptions: list[Subscription] = field(default_factory=list)
    _hooks: list[Hook] = field(default_factory=list)
    _supervisor: asyncio.Task[None] | None = None
    _up: asyncio.Event = field(default_factory=asyncio.Event)
    _lost: asyncio.Event = field(default_factory=asyncio.Event)
    _dropped: bool = False
    """The connection ends because we want another, which is no reason to wait."""
    _last_error: str = ""

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.is_connected

    @property
    def last_error(self) -> str:
        """Why the last attempt failed, for people."""
        return self._last_error

    def start(self) -> None:
        """Begin to connect, and never stop trying until close()."""
        if self._supervisor is None:
            self._supervisor = asyncio.create_task(self._supervise(), name=f"nats {self.options.name}")

    async def wait_connected(self) -> None:
        await self._up.wait()

    def on_connect(self, hook: Hook) -> None:
        """Call `hook` after every connection, when the subscriptions stand."""
        self._hooks.append(hook)

    async def close(self) -> None:
        if self._supervisor is not None:
            await ended(self._supervisor)
            self._supervisor = None
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(nats.errors.Error, OSError):
                await _taken(client, 2)
            await client.close()

    async def reconnect(self) -> None:
        """Drop the connection and make another at once, as after new credentials."""
        if self._client is not None:
            self._dropped = True
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                await _taken(self._client, 2)
            await self._client.close()

    async def subscribe(
        self, subject: str, handler: Handler, *, queue: str = "", pending_messages: int = 65_536
    ) -> Subscription:
        """Hear `subject` from now on, across reconnections. Handlers of one subscription run one after the other."""
        subscription = Subscription(subject, handler, queue, pending_messages)
        self._subscriptions.append(subscription)
        if self.connected and self._client is not None:
            await self._make(self._client, subscription)
        return subscription

    async def unsubscribe(self, subscription: Subscription, *, drain: bool = False) -> None:
        """Stop hearing. With `drain`, what has arrived is still handled first."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
        now, subscription._now = subscription._now, None
        if now is not None and self.connected:
            with contextlib.suppress(nats.errors.Error):
                await (now.drain() if drain else now.unsubscribe())  # type: ignore[no-untyped-call]

    async def publish(
        self, subject: str, data: bytes = b"", *, headers: Mapping[str, str] | None = None, reply: str = ""
    ) -> None:
        """Queue a message for sending. Raises Disconnected; a message on its way when the connection breaks is lost."""
        client = self._require()
        try:
            await client.publish(subject, data, reply=reply, headers=dict(headers) if headers else None)
        except (nats.errors.Error, OSError) as error:
            raise Disconnected(type(error).__name__) from error

    async def flush(self) -> None:
        """Wait until the server has taken what was published. Raises Disconnected."""
        try:
            await _taken(self._require(), 5)
        except (nats.errors.Error, OSError, TimeoutError) as error:
            raise Disconnected(type(error).__name__) from error

    async def request(
        self, subject: str, data: bytes, *, headers: Mapping[str, str] | None = None, timeout: float = 5.0
    ) -> Message:
        """Raises NoResponders at once if nobody listens, TimeoutError, Disconnected."""
        client = self._require()
        try:
            answer = await client.request(subject, data, timeout=timeout, headers=dict(headers) if headers else None)
        except nats.errors.NoRespondersError as error:
            raise NoResponders(subject) from error
        except nats.errors.TimeoutError as error:
            raise TimeoutError(f"no answer on {subject} within {timeout:g} s") from error
        except (nats.errors.Error, OSError) as error:
            raise Disconnected(type(error).__name__) from error
        return _message(answer)

    def _require(self) -> Client:
        if self._client is None or not self._client.is_connected:
            raise Disconnected("not connected")
        return self._client

    async def _supervise(self) -> None:
        wait = FIRST_WAIT_S
        while True:
            try:
                client = await asyncio.wait_for(self._connect(), CONNECT_TIMEOUT_S)
            except Exception as error:
                # Whatever the attempt failed with, the answer is the same: say so, wait, try again.
                self._last_error = _why(error)
                self.counters["connect_failed"] += 1
                log.warning("bus.connect_failed", name=self.options.name, error=self._last_error, wait_s=round(wait, 1))
                await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311  jitter, not a secret
                wait = min(wait * 2, self.options.longest_wait_s)
                continue
            self.counters["connected"] += 1
            log.info(
                "bus.connected", name=self.options.name, server=client.connected_url and client.connected_url.netloc
            )
            came_up = asyncio.get_running_loop().time()
            self._up.set()
            await self._run_hooks()
            await self._lost.wait()
            self._up.clear()
            self._client = None
            log.warning("bus.disconnected", name=self.options.name, error=self._last_error)
            await self._discard(client)
            if self._dropped:
                self._dropped = False
                continue
            if asyncio.get_running_loop().time() - came_up > self.options.longest_wait_s:
                wait = FIRST_WAIT_S
            await asyncio.sleep(wait * random.uniform(0, 1))  # noqa: S311
            wait = min(wait * 2, self.options.longest_wait_s)

    async def _connect(self) -> Client:
        client = Client()
        self._lost.clear()
        self._last_error = ""

        async def closed() -> None:
            self._lost.set()

        async def failed(error: Exception) -> None:
            self._note(error)

        try:
            await client.connect(
                servers=list(self.options.servers),
                name=self.options.name,
                user_credentials=str(self.options.credentials),
                tls=_tls(self.options.ca, self.options.ca.stat().st_mtime),
                tls_handshake_first=True,
                inbox_prefix=self.options.inbox,
                allow_reconnect=False,
                connect_timeout=5,
                ping_interval=PING_INTERVAL_S,
                max_outstanding_pings=MAX_PINGS,
                pending_size=self.options.pending_bytes,
                flush_timeout=10,
                closed_cb=closed,
                error_cb=failed,
            )
            for subscription in list(self._subscriptions):
                await self._make(client, subscription)
            await _taken(client, 5)
        except BaseException:
            await self._discard(client)
            raise
        self._client = client
        return client

    async def _make(self, client: Client, subscription: Subscription) -> None:
        handler = subscription.handler

        async def received(message: Msg) -> None:
            try:
                await handler(_message(message))
            except Exception:
                self.counters["handler_crashed"] += 1
                log.exception("bus.handler_crashed", subject=message.subject)

        subscription._now = await client.subscribe(
            subscription.subject, subscription.queue, cb=received, pending_msgs_limit=subscription.pending_messages
        )

    async def _run_hooks(self) -> None:
        for hook in self._hooks:
            try:
                await hook()
            except Disconnected:
                return
            except Exception:
                log.exception("bus.hook_crashed", name=self.options.name)

    async def _discard(self, client: Client) -> None:
        with contextlib.suppress(Exception):
            await client.close()

    def _note(self, error: Exception) -> None:
        self._last_error = _why(error)
        if isinstance(error, nats.errors.SlowConsumerError):
            self.counters["slow_consumer"] += 1
            log.error("bus.messages_dropped", name=self.options.name, subject=error.subject)
        elif "permissions violation" in self._last_error:
            self.counters["permission_violation"] += 1
            log.error("bus.permission_violation", name=self.options.name, error=self._last_error)


async def _taken(client: Client, timeout: int) -> None:
    """Wait until the server has taken everything that was published or subscribed before."""
    # nats-py writes its PING past what is still in its own buffer: the first only empties that buffer for the second.
    await client.flush(timeout=timeout)
    await client.flush(timeout=timeout)


def _why(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".strip(": ")[:300]


def _message(message: Msg) -> Message:
    return Message(message.subject, message.data, message.headers or {}, message.reply)
