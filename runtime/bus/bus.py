"""Contracts over NATS: typed calls with errors, endpoints that answer them, events.

A reply is sent only into the inbox of the caller that the subject names. A service that answers any reply subject is
a confused deputy: it can be made to publish a call in its own name (measured with these servers).

Handlers get the request and who asks, and return the reply; they see no header, JSON or NATS message. Errors travel as
NATS ADR-32 headers with a JSON body, and arrive at the caller as the same class.
"""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from contracts import subjects
from contracts.errors import BY_CODE, Invalid, ServiceError, Unavailable
from contracts.kinds import Call, Event
from contracts.people import IntegrationRef, Principal, integration_bounds
from contracts.permissions import Scope
from contracts.tokens import token
from runtime.authorize import authorize, check_declared
from runtime.bus import streams
from runtime.bus.auditor import Auditor
from runtime.bus.connection import Connection, Disconnected, Handler, Message, Options, Subscription
from runtime.bus.discovery import Discovery
from runtime.bus.programs import Programs, ScopesOf
from runtime.ids import instance_id, trace_id

Q = TypeVar("Q")
R = TypeVar("R")

TRACE = "Drover-Trace"
PRINCIPAL = "Drover-Principal"
ERROR, ERROR_CODE = "Nats-Service-Error", "Nats-Service-Error-Code"
TRUSTED_TO_NAME_OTHERS = "gateway"
"""The one caller whose word about who asks is taken, since it is the one that authenticates people."""

SERVICE_WAIT_S = 3.0
"""The longest pause between two attempts of a service to reach the hub: everybody waits for it."""

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""JSON can say it in this way only. After another backslash these are six characters, which a script may well hold."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Endpoint:
    call: Call[Any, Any]
    handle: Callable[[Any, Principal], Awaitable[Any]]


@dataclass(frozen=True)
class AgentEndpoint:
    verb: str
    request: type[Any]
    handle: Callable[[Any, subjects.HostSubject], Awaitable[Any]]


def answer(call: Call[Q, R], handle: Callable[[Q, Principal], Awaitable[R]]) -> Endpoint:
    """Bind a contract to the method that fulfils it; mypy checks that the two agree."""
    return Endpoint(call, handle)


def answer_agent(
    verb: str, request: type[Q], handle: Callable[[Q, subjects.HostSubject], Awaitable[Any]]
) -> AgentEndpoint:
    """Answer what agents ask on their own subjects; the broker vouches for which host it is."""
    return AgentEndpoint(verb, request, handle)


@dataclass(eq=False)
class Bus:
    """What a process says and hears. `name` is the caller, as the broker knows it."""

    connection: Connection
    name: str
    instance: str
    concurrency: int = 100
    _slots: asyncio.Semaphore = field(init=False)
    _running: set[asyncio.Task[None]] = field(default_factory=set)
    _answering: list[Subscription] = field(default_factory=list)
    _auditor: Auditor | None = None
    _programs: Programs = field(init=False)
    discovery: Discovery = field(init=False)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.concurrency)
        self._programs = Programs(self._scopes_of_program)
        self.discovery = Discovery(self.connection, self.name, self.instance)

    @classmethod
    def of_service(
        cls,
        name: str,
        *,
        servers: tuple[str, ...],
        credentials: Any,
        ca: Any,
        instance: str = "",
        concurrency: int = 100,
    ) -> "Bus":
        instance = instance or instance_id(name)
        options = Options(
            name=instance,
            servers=servers,
            credentials=credentials,
            ca=ca,
            inbox=subjects.inbox(name),
            longest_wait_s=SERVICE_WAIT_S,
        )
        return cls(Connection(options), name, instance, concurrency)

    async def __aenter__(self) -> "Bus":
        self.connection.start()
        await self.connection.wait_connected()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Take no new work, finish what was taken, and only then hang up."""
        for subscription in self._answering:
            await self.connection.unsubscribe(subscription, drain=True)
        if self._running:
            await asyncio.gather(*self._running, return_exceptions=True)
        if self._auditor is not None:
            await self._auditor.settled()
        await self.connection.close()

    @property
    def connected(self) -> bool:
        return self.connection.connected

    @property
    def counters(self) -> Mapping[str, int]:
        return self.connection.counters

    async def call(
        self, contract: Call[Q, R], request: Q, *, principal: Principal | None = None, timeout: float = 5.0
    ) -> R:
        """Ask. Raises the ServiceError that the other side raised, or Unavailable if nobody answered.

        `principal` says on whose behalf; only the gateway is believed.
        """
        headers = {TRACE: _trace()}
        if principal is not None:
            headers[PRINCIPAL] = _in_ascii(principal)
        subject = subjects.call(self.name, contract.subject)
        return await self._ask(subject, request, contract.reply, headers, timeout)

    async def ask_services(
        self, idc: str, host: str, verb: str, request: Any, reply: type[R], *, timeout: float = 5.0
    ) -> R:
        """What an agent asks in its own name. Raises as `call` does."""
        return await self._ask(subjects.agent_call(idc, host, verb), request, reply, {TRACE: _trace()}, timeout)

    async def _ask(self, subject: str, request: Any, reply: type[R], headers: dict[str, str], timeout: float) -> R:
        try:
            answered = await self.connection.request(subject, _encode(request), timeout=timeout, headers=headers)
        except (Disconnected, TimeoutError) as error:
            raise Unavailable("bus.no_answer", f"The service behind {subject} did not answer.") from error
        _raise_if_error(answered)
        return msgspec.json.decode(answered.data, type=reply)

    async def announce(self, event: Event[Q], message: Q) -> None:
        """Tell what happened. A lost event costs its hearers time, never truth, so nothing is raised; it is logged."""
        key = token(str(getattr(message, event.key)))
        subject = subjects.event(event.service, event.kind, key)
        data = msgspec.json.encode(message)
        try:
            await streams.publish(self.connection, subject, data, message_id=f"{subject}:{trace_id()}")
        except (Disconnected, TimeoutError, ServiceError) as error:
            self.connection.counters["event_lost"] += 1
            log.warning("event.lost", subject=subject, error=type(error).__name__)

    async def hear(
        self, subject: str, handler: Handler, *, queue: str = "", pending_messages: int = 65_536
    ) -> Subscription:
        """Plain messages, one after the other. Take them fast, or hand them on."""
        return await self.connection.subscribe(subject, handler, queue=queue, pending_messages=pending_messages)

    async def serve(
        self,
        endpoints: Iterable[Endpoint | AgentEndpoint],
        *,
        queue: str | None = None,
        auditor: Auditor | None = None,
        scopes_of: ScopesOf | None = None,
    ) -> None:
        """Answer these calls, sharing them with the other instances of `queue` (left out: this service's).

        Calls that change something pass through `auditor`. The service that keeps what bounds programs gives
        `scopes_of`. Raises Undeclared, before anything is answered, if a call has no declared permission.
        """
        self._auditor = auditor or self._auditor
        if scopes_of is not None:
            self._programs = Programs(scopes_of, fresh_s=0)
        endpoints = list(endpoints)
        for endpoint in endpoints:
            if isinstance(endpoint, Endpoint):
                check_declared(endpoint.call)
        for endpoint in endpoints:
            if isinstance(endpoint, Endpoint):
                subject = subjects.call(subjects.ANY, endpoint.call.subject)
                respond = self._call_answerer(endpoint)
            else:
                subject = subjects.agent_call(subjects.ANY, subjects.ANY, endpoint.verb)
                respond = self._agent_answerer(endpoint)
            handler = self._concurrently(respond)
            self._answering.append(
                await self.connection.subscribe(subject, handler, queue=self.name if queue is None else queue)
            )
            self.discovery.add(subject)
        await self.discovery.start()
        if self.connected:
            await self.connection.flush()

    def _concurrently(self, respond: Handler) -> Handler:
        # nats-py awaits one callback at a time per subscription, so a slow request would hold up the rest; each runs in
        # its own task, and the semaphore is the limit.
        async def spawn(message: Message) -> None:
            await self._slots.acquire()
            task = asyncio.create_task(respond(message))
            self._running.add(task)
            task.add_done_callback(self._done)

        return spawn

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._slots.release()
        if not task.cancelled() and task.exception() is not None:
            log.error("request.unanswered", error=type(task.exception()).__name__)

    def _call_answerer(self, endpoint: Endpoint) -> Handler:
        async def respond(message: Message) -> None:
            caller = message.subject.split(".", 2)[1]

            async def handle() -> Any:
                principal = await self._principal(caller, message)
                bind_contextvars(by=principal.name)
                return await self._answer(endpoint, message, principal)

            await self._respond(message, subjects.inbox(caller), handle)

        return respond

    async def _principal(self, caller: str, message: Message) -> Principal:
        if caller == TRUSTED_TO_NAME_OTHERS and PRINCIPAL in message.headers:
            return _decode(message.headers[PRINCIPAL].encode(), Principal)
        if caller.startswith("i-"):
            return await self._programs.principal(caller)
        return Principal(kind="service", name=caller)

    async def _scopes_of_program(self, name: str) -> tuple[Scope, ...]:
        return (await self.call(integration_bounds, IntegrationRef(name=name))).scopes

    async def _answer(self, endpoint: Endpoint, message: Message, principal: Principal) -> Any:
        call, auditor = endpoint.call, self._auditor if endpoint.call.changes else None
        try:
            authorize(principal, call)
        except ServiceError as error:
            if auditor is not None:
                auditor.denied(call, _decode_if_it_fits(message.data, call.request), principal, error.reason)
            raise
        if auditor is None:
            return await endpoint.handle(_decode(message.data, call.request), principal)
        try:
            request = _decode(message.data, call.request)
        except Invalid as error:
            auditor.denied(call, None, principal, error.reason)
            raise
        return await auditor.carried_out(call, request, principal, lambda: endpoint.handle(request, principal))

    def _agent_answerer(self, endpoint: AgentEndpoint) -> Handler:
        async def respond(message: Message) -> None:
            _, _, idc, host, *_ = message.subject.split(".")

            async def handle() -> Any:
                sender = subjects.HostSubject(idc, host, ())
                return await endpoint.handle(_decode(message.data, endpoint.request), sender)

            await self._respond(message, subjects.inbox(idc, host), handle)

        return respond

    async def _respond(self, message: Message, inbox: str, handle: Callable[[], Awaitable[Any]]) -> None:
        started = time.perf_counter()
        clear_contextvars()
        bind_contextvars(trace_id=message.headers.get(TRACE, "")[:64] or trace_id(), subject=message.subject)
        if not message.reply.startswith(inbox + "."):
            self.connection.counters["reply_refused"] += 1
            log.error("request.reply_refused", reply=message.reply[:200])
            return
        headers: dict[str, str] = {}
        try:
            data, outcome = _encode(await handle()), "ok"
        except ServiceError as error:
            data, headers, outcome = _error_reply(error)
        except Exception:
            log.exception("request.crashed")
            data, headers, outcome = _error_reply(ServiceError(details={"ref": get_contextvars()["trace_id"]}))
        self.connection.counters["answered_ok" if outcome == "ok" else "answered_error"] += 1
        self.discovery.count(error=outcome if outcome != "ok" else "", seconds=time.perf_counter() - started)
        await self.connection.publish(message.reply, data, headers=headers)
        log.info("request.answered", outcome=outcome, ms=round((time.perf_counter() - started) * 1000, 1))


def _in_ascii(principal: Principal) -> str:
    """Headers carry nothing else, and a scope may name what has a Chinese name."""
    return json.dumps(msgspec.to_builtins(principal), separators=(",", ":"))


def _encode(message: Any) -> bytes:
    data = msgspec.json.encode(message)
    if len(data) > 900 * 1024:
        raise Invalid("bus.too_large", f"The message of {len(data)} bytes is larger than the bus carries (900 KiB).")
    return data


def _decode(data: bytes, kind: type[Q]) -> Q:
    # For every text of every contract, as at the edge of HTTP: no argument of a program, no name, no pattern has one.
    if b"\\u0000" in data and _NUL.search(data):
        raise Invalid("bus.malformed", "The request does not fit: a text has a NUL.")
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Invalid("bus.malformed", f"The request does not fit: {str(error)[:300]}") from error


def _decode_if_it_fits(data: bytes, kind: type[Q]) -> Q | None:
    try:
        return _decode(data, kind)
    except Invalid:
        return None


def _error_reply(error: ServiceError) -> tuple[bytes, dict[str, str], str]:
    body = {"reason": error.reason, "message": error.message, "details": error.details}
    one_line = " ".join(error.message.split())[:200].encode("ascii", "replace").decode()
    return msgspec.json.encode(body), {ERROR_CODE: str(error.code), ERROR: one_line}, error.reason


def _raise_if_error(reply: Message) -> None:
    code = reply.headers.get(ERROR_CODE)
    if code:
        body = msgspec.json.decode(reply.data)
        raise BY_CODE.get(int(code), ServiceError)(body["reason"], body["message"], body["details"])


def _trace() -> str:
    return str(get_contextvars().get("trace_id") or trace_id())
