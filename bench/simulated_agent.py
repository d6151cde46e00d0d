"""Hosts that execute nothing: real connections with real credentials that keep the contract, for tests and benches.

A simulated agent verifies every grant, keeps a journal (in memory), acknowledges, and publishes its results with an
acknowledgement of the stream. Knobs make it misbehave.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from contracts import subjects
from contracts.agents import (
    BODY_HEADER,
    GRANT_CONTEXT,
    GRANT_HEADER,
    HEAD_BYTES,
    REPORT_N,
    SIGNATURE_HEADER,
    Ack,
    AgentCall,
    AskBody,
    BodyPiece,
    Grant,
    Heartbeat,
    Hello,
    OpenTask,
    OutputChunk,
    Receipts,
    Report,
    RunScript,
    Stored,
    StoredItem,
    TaskState,
    Verb,
)
from contracts.errors import ServiceError
from contracts.hosts import HostFacts
from contracts.states import Outcome
from runtime.bus import Bus, Connection, Disconnected, Message
from runtime.bus.streams import publish
from runtime.signing import Box, BoxKey, CannotOpen, Verifier, decode, sha256

_grant = msgspec.json.Decoder(Grant)
_script = msgspec.json.Decoder(RunScript)
_stored = msgspec.json.Decoder(Stored)
_receipts = msgspec.json.Decoder(Receipts)
_encode = msgspec.json.Encoder().encode

CHUNK = 128 * 1024
BODY_WAIT_S = 30.0
"""How long a large body may take after its command before it is asked for."""


@dataclass(kw_only=True)
class Knobs:
    mute: bool = False
    """Takes commands and answers nothing."""
    lose_acks: int = 0
    """So many acknowledgements get lost on their way."""
    hold: bool = False
    """Scripts run until `finish` is called."""
    duplicate: bool = False
    """Every result is published twice, as after a lost acknowledgement of the stream."""
    refuse: str = ""
    """The reason with which commands are refused."""
    deaf_to_bodies: bool = False
    """Misses what is published on the IDC's subject for bodies."""
    exit_code: int = 0
    output: str = "hi\n"


@dataclass(eq=False)
class SimulatedAgent:
    connection: Connection
    idc: str
    host: str
    keys: Mapping[str, str]
    """Key id → base64 public key of the jobs service."""
    knobs: Knobs = field(default_factory=Knobs)
    box_key: BoxKey = field(default_factory=BoxKey)
    journal: dict[str, TaskState] = field(default_factory=dict)
    started: Counter[str] = field(default_factory=Counter)
    """Task → how often its script began; more than once is a fault."""
    scripts: dict[str, RunScript] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    """Task → the masked parameters it was given."""
    unstored: dict[tuple[str, int], bytes] = field(default_factory=dict)
    promised: dict[str, str] = field(default_factory=dict)
    """Task → sha256 of its receipt."""
    heard: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    """Reasons why commands were not believed."""
    _bodies: dict[str, dict[int, bytes]] = field(default_factory=dict)
    _whole: dict[str, asyncio.Event] = field(default_factory=dict)
    _go: dict[str, asyncio.Event] = field(default_factory=dict)
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Connect, listen, and say hello at every connection."""
        self._verifier = Verifier(self.keys, GRANT_CONTEXT)
        self._bus = Bus(self.connection, self.host, self.host)
        await self.connection.subscribe(subjects.command(self.idc, self.host), self._commanded)
        await self.connection.subscribe(subjects.body(self.idc), self._body)
        self.connection.on_connect(self.hello)
        self.connection.start()
        await self.connection.wait_connected()

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self.connection.close()

    async def hello(self) -> None:
        known = (TaskState.ACCEPTED, TaskState.RUNNING, TaskState.DONE)
        tasks = tuple(OpenTask(task=task, state=state) for task, state in self.journal.items() if state in known)
        message = Hello(boot_id="boot", version="simulated", facts=HostFacts(hostname=self.host), tasks=tasks)
        await self.connection.publish(subjects.hello(self.idc, self.host), _encode(message))

    async def heartbeat(self) -> None:
        tasks = tuple(task for task, state in self.journal.items() if state is TaskState.RUNNING)
        message = Heartbeat(boot_id="boot", version="simulated", open=tasks)
        await self.connection.publish(subjects.heartbeat(self.idc, self.host), _encode(message))

    def finish(self, task: str = "") -> None:
        """Let the scripts end that `hold` keeps running."""
        for name, go in self._go.items():
            if task in {"", name}:
                go.set()

    async def _commanded(self, message: Message) -> None:
        if not message.headers:
            self._kept(message.data)
            return
        grant = self._believed(message)
        if grant is None:
            return
        self.promised[grant.task] = grant.receipt
        self.heard[grant.verb] += 1
        if grant.verb is Verb.STORED:
            self._free(_stored.decode(message.data).items)
        elif self.knobs.mute:
            return
        elif grant.verb is Verb.CANCEL:
            await self._cancel(grant)
        elif self.knobs.refuse:
            await self._ack(grant, None, reason=self.knobs.refuse)
        elif grant.task in self.journal:
            await self._ack(grant, self.journal[grant.task])
        else:
            self._begin(grant, message.data)

    def _kept(self, body: bytes) -> None:
        for task, receipt in _receipts.decode(body).receipts.items():
            self.heard["receipt"] += 1
            if sha256(receipt.encode()) == self.promised.get(task):
                self._free([StoredItem(task, REPORT_N)])

    def _free(self, items: Iterable[StoredItem]) -> None:
        for item in items:
            self.unstored.pop((item.task, item.n), None)
            if item.n == REPORT_N and item.task in self.journal:
                self.journal[item.task] = TaskState.STORED

    def _believed(self, message: Message) -> Grant | None:
        header = message.headers[GRANT_HEADER].encode()
        self._verifier.verify(header, message.headers[SIGNATURE_HEADER])
        grant = _grant.decode(header)
        now = datetime.now(UTC).timestamp()
        if grant.host != self.host or not grant.issued - 120 < now < grant.not_after + 120:
            self.refused.append("host or time")
            return None
        if not grant.body_key and sha256(message.data) != grant.sha256:
            self.refused.append("hash")
            return None
        return grant

    async def _ack(self, grant: Grant, state: TaskState | None, reason: str = "") -> None:
        if self.knobs.lose_acks:
            self.knobs.lose_acks -= 1
            return
        ack = Ack(task=grant.task, verb=grant.verb, state=state, reason=reason, message=reason and "Simulated.")
        # A command may come before this side counts its connection as made; a lost answer is asked for again.
        with contextlib.suppress(Disconnected):
            await self.connection.publish(subjects.ack(self.idc, self.host, grant.instance), _encode(ack))

    async def _cancel(self, grant: Grant) -> None:
        state = self.journal.setdefault(grant.task, TaskState.CANCELLED)
        await self._ack(grant, state)
        if state is TaskState.RUNNING and grant.task in self._go:
            self.knobs.exit_code = -15
            self._go[grant.task].set()

    def _begin(self, grant: Grant, payload: bytes) -> None:
        self.journal[grant.task] = TaskState.RUNNING
        self._go[grant.task] = asyncio.Event()
        task = asyncio.create_task(self._execute(grant, payload))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _execute(self, grant: Grant, payload: bytes) -> None:
        try:
            body = payload if not grant.body_key else await self._large(grant)
        except (ServiceError, CannotOpen, TimeoutError):
            del self.journal[grant.task]
            await self._ack(grant, None, reason="command.body_missing")
            return
        self.scripts[grant.task] = _script.decode(body)
        if grant.sealed:
            self.secrets[grant.task] = msgspec.json.decode(self.box_key.open(grant.sealed), type=dict[str, str])
        self.started[grant.task] += 1
        await self._ack(grant, TaskState.RUNNING)
        if self.knobs.hold:
            await self._go[grant.task].wait()
        del self._go[grant.task]
        self.journal[grant.task] = TaskState.DONE
        await self._report(grant.task)

    async def _large(self, grant: Grant) -> bytes:
        whole = self._whole.setdefault(grant.sha256, asyncio.Event())
        if not self.knobs.deaf_to_bodies:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(whole.wait(), BODY_WAIT_S)
        box = Box(decode(grant.body_key))
        with contextlib.suppress(CannotOpen):
            body = b"".join(box.open(piece) for _, piece in sorted(self._bodies.get(grant.sha256, {}).items()))
            if sha256(body) == grant.sha256:
                return body
        return await self._asked(grant)

    async def _asked(self, grant: Grant) -> bytes:
        self.heard["asked"] += 1
        pieces: list[bytes] = []
        count = 1
        while len(pieces) < count:
            ask = AskBody(task=grant.task, sha256=grant.sha256, piece=len(pieces))
            piece = await self._bus.ask_services(self.idc, self.host, AgentCall.BODY, ask, BodyPiece)
            count = piece.pieces
            pieces.append(decode(piece.data))
        body = b"".join(pieces)
        if sha256(body) != grant.sha256:
            raise CannotOpen
        return body

    async def _body(self, message: Message) -> None:
        if self.knobs.deaf_to_bodies:
            return
        self.heard["body"] += 1
        digest, number, count = message.headers[BODY_HEADER].split()
        pieces = self._bodies.setdefault(digest, {})
        pieces[int(number)] = message.data
        if len(pieces) == int(count):
            self._whole.setdefault(digest, asyncio.Event()).set()

    async def _report(self, task: str) -> None:
        data = self.knobs.output.encode()
        head, rest = data[:HEAD_BYTES], data[HEAD_BYTES:]
        pieces = [rest[start : start + CHUNK] for start in range(0, len(rest), CHUNK)]
        for n, piece in enumerate(pieces, 1):
            offset = len(head) + CHUNK * (n - 1)
            await self.publish(task, n, OutputChunk(task=task, n=n, offset=offset, text=piece.decode()))
        code = self.knobs.exit_code
        outcome = Outcome.STOPPED if code < 0 else Outcome.FAILED if code else Outcome.SUCCEEDED
        report = Report(
            task=task,
            outcome=outcome,
            exit_code=code,
            ended_at=datetime.now(UTC),
            head=head.decode(),
            output_bytes=len(data),
            output_hash=sha256(data),
            chunks=len(pieces),
        )
        await self.publish(task, 0, report)

    async def publish(self, task: str, n: int, item: Any) -> None:
        """Until the stream has it; the spool keeps it until it is stored."""
        data = self.unstored[task, n] = _encode(item)
        turns = 2 if self.knobs.duplicate else 1
        for turn in range(turns):
            subject, message_id = subjects.result(self.idc, self.host, task), f"{task}.{self.host}.{n}.{turn}"
            while True:
                try:
                    await publish(self.connection, subject, data, message_id=message_id)
                    break
                except (Disconnected, TimeoutError, ServiceError):
                    await asyncio.sleep(0.2)
