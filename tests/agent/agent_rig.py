"""Real agents at a real leaf, and a dispatcher at the hub that speaks as the jobs service does."""

import asyncio
import base64
import contextlib
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from agent import identity
from agent.app import Agent
from agent.folder import Folder
from agent.identity import Identity
from agent.journal import create
from agent.kit import Household
from agent.settings import Limits, Settings
from contracts import subjects
from contracts.agents import (
    GRANT_CONTEXT,
    GRANT_HEADER,
    REPORT_N,
    SIGNATURE_HEADER,
    Ack,
    Cancel,
    FromAgent,
    Grant,
    Heartbeat,
    Hello,
    OutputChunk,
    Report,
    RunScript,
    Stored,
    StoredItem,
    TaskState,
    Verb,
)
from contracts.errors import Unavailable
from runtime import nats_jwt
from runtime.bus import Bus, Disconnected, Message, Pull, StreamMessage, StreamSettings, streams
from runtime.nats_jwt import Key, Kind
from runtime.signing import BoxKey, Signer, decode, sha256
from tests.conftest import service_bus
from tests.servers import NatsPlane, until

DEADLINE_S = 120
RESULTS = StreamSettings(
    name="RESULTS", subjects=("res.*.*.*",), retention="workqueue", max_bytes=500_000_000, discard="new"
)


def new_task() -> str:
    return f"{uuid.uuid4().hex[:20]}-0-0-0"


def enrol(nats: NatsPlane, root: Path, idc: str = "js", *, lifetime_s: float = 3600) -> Identity:
    """What enrolment leaves in a folder, without a gateway."""
    folder = Folder(root)
    folder.make()
    key, box, host = Key.make(Kind.USER), BoxKey(), f"h-{uuid.uuid4().hex[:12]}"
    own = Identity(
        host=host,
        idc=idc,
        box_seed=base64.b64encode(box.seed).decode(),
        command_keys=msgspec.json.decode(nats.trust.command_keys.read_bytes()),
        relays=(nats.leaf_urls[idc],),
    )
    create(folder.journal, host)
    jwt = agent_jwt(nats, host, idc, key.public, lifetime_s)
    identity.write(folder, own, jwt=jwt, seed=key.seed, ca=nats.trust.ca.read_text())
    return own


def agent_jwt(nats: NatsPlane, host: str, idc: str, public: str, lifetime_s: float) -> str:
    expires = int(time.time() + lifetime_s)
    user = nats_jwt.agent_user(host, idc, key=public, account=nats.trust.account_key("APP"), expires=expires)
    return nats_jwt.user_jwt(user, Key(nats.trust.signing_seed("APP", "agent").read_text()), time.time())


@dataclass(eq=False)
class Dispatcher:
    """Signs grants, hears answers, takes results out of the stream, and says `stored` if told to."""

    bus: Bus
    signer: Signer
    instance: str
    stores: bool = True
    acks: list[tuple[str, Ack]] = field(default_factory=list)
    """Host and answer."""
    said: dict[tuple[str, str], list[Report | OutputChunk]] = field(default_factory=lambda: defaultdict(list))
    """(host, task) → every message of it that the stream delivered, in order."""
    live: dict[str, list[OutputChunk]] = field(default_factory=lambda: defaultdict(list))
    hellos: list[tuple[str, Hello]] = field(default_factory=list)
    beats: list[tuple[str, Heartbeat]] = field(default_factory=list)
    taken: set[int] = field(default_factory=set)
    """Numbers in the stream of what was delivered; what could not be acknowledged comes once more."""

    async def run(self, own: Identity, script: str, *, task: str = "", **fields: Any) -> str:
        task = task or new_task()
        words = {"language": "shell", "timeout_s": 300, "kill_grace_s": 2} | fields
        await self.command(own, Verb.RUN, task, RunScript(script=script, **words))
        return task

    async def cancel(self, own: Identity, task: str) -> None:
        await self.command(own, Verb.CANCEL, task, Cancel(why="test"))

    async def stored(self, own: Identity, *items: tuple[str, int]) -> None:
        await self.command(own, Verb.STORED, "", Stored(items=tuple(StoredItem(*item) for item in items)))

    async def frees(self, own: Identity, task: str, freed: Callable[[], bool]) -> None:
        """Say that all of a task is stored until it has got through: interest needs a moment to cross a leaf."""

        async def heard() -> bool:
            with contextlib.suppress(Disconnected):
                await self.stored(own, *((task, n) for n in range(100)))
            with contextlib.suppress(AssertionError):
                await until(freed, "", 0.3)
                return True
            return False

        await until(heard, f"{task} is freed", DEADLINE_S)

    async def command(self, own: Identity, verb: Verb, task: str, body: Any, **grant: Any) -> None:
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        headers = self.headers(own, verb, task, data, **grant)
        await self.bus.connection.publish(subjects.command(own.idc, own.host), data, headers=headers)

    def headers(self, own: Identity, verb: Verb, task: str, body: bytes, **fields: Any) -> dict[str, str]:
        now = time.time()
        grant = {
            "kid": self.signer.key_id,
            "verb": verb,
            "task": task,
            "host": own.host,
            "instance": self.instance,
            "issued": now,
            "not_after": now + 60,
            "sha256": sha256(body),
        } | fields
        data = msgspec.json.encode(msgspec.convert(grant, Grant))
        return {GRANT_HEADER: data.decode(), SIGNATURE_HEADER: self.signer.sign(data)}

    async def ack(self, own: Identity, task: str, verb: Verb = Verb.RUN) -> Ack:
        """The newest answer."""
        await until(lambda: bool(self.acks_of(own, task, verb)), f"an answer to {verb} of {task}", DEADLINE_S)
        return self.acks_of(own, task, verb)[-1]

    async def answered(self, own: Identity, task: str, state: TaskState) -> None:
        """Some answer to the command says this; on a busy machine there are others before it."""
        await until(
            lambda: state in {ack.state for ack in self.acks_of(own, task)},
            f"the answer {state} for {task}",
            DEADLINE_S,
        )

    def acks_of(self, own: Identity, task: str, verb: Verb = Verb.RUN) -> list[Ack]:
        return [ack for host, ack in self.acks if (host, ack.task, ack.verb) == (own.host, task, verb)]

    async def report(self, own: Identity, task: str) -> Report:
        await until(lambda: bool(self.reports(own, task)), f"a report of {task}", DEADLINE_S)
        return self.reports(own, task)[0]

    def reports(self, own: Identity, task: str) -> list[Report]:
        return [each for each in self.said[own.host, task] if isinstance(each, Report)]

    def output(self, own: Identity, task: str) -> str:
        """Put together as a reader would: head and chunks by their offsets, each byte once."""
        pieces = {}
        for each in self.said[own.host, task]:
            offset, text = (0, each.head) if isinstance(each, Report) else (each.offset, each.text)
            pieces[offset, len(text.encode())] = text.encode()
        whole = b""
        for (offset, length), data in sorted(pieces.items()):
            assert offset <= len(whole), f"a gap before {offset}"
            assert whole[offset : offset + length] == data[: len(whole) - offset], f"two texts at {offset}"
            whole += data[len(whole) - offset :]
        return whole.decode()

    async def _acked(self, message: Message) -> None:
        self.acks.append((subjects.sender(message.subject).host, msgspec.json.decode(message.data, type=Ack)))

    async def _greeted(self, message: Message) -> None:
        self.hellos.append((subjects.sender(message.subject).host, msgspec.json.decode(message.data, type=Hello)))

    async def _beaten(self, message: Message) -> None:
        self.beats.append((subjects.sender(message.subject).host, msgspec.json.decode(message.data, type=Heartbeat)))

    def forget(self) -> None:
        """The stream begins anew."""
        self.said.clear()
        self.taken.clear()

    async def take(self, pull: Pull) -> None:
        while True:
            batch = await pull.batch()
            with contextlib.suppress(Disconnected):  # what is not acknowledged comes again
                for message in batch:
                    await self._take(message)
                await pull.ack(batch)

    async def _take(self, message: StreamMessage) -> None:
        idc, host, _ = subjects.sender(message.subject)
        said: Report | OutputChunk = msgspec.json.decode(message.data, type=FromAgent)
        if message.sequence not in self.taken:
            self.taken.add(message.sequence)
            self.said[host, said.task].append(said)
        if self.stores:
            n = REPORT_N if isinstance(said, Report) else said.n
            await self.stored(Identity(host=host, idc=idc, box_seed="", command_keys={}, relays=()), (said.task, n))

    async def hear(self) -> None:
        await self.bus.hear(subjects.ack(subjects.ANY, subjects.ANY, self.instance), self._acked)
        await self.bus.hear(subjects.hello(subjects.ANY, subjects.ANY), self._greeted)
        await self.bus.hear(subjects.heartbeat(subjects.ANY, subjects.ANY), self._beaten)
        await self.bus.connection.flush()


async def make_stream(speaking: Dispatcher) -> None:
    connection = speaking.bus.connection

    async def made() -> bool:
        try:
            await streams.ensure_stream(connection, RESULTS)
            await streams.ensure_consumer(connection, "RESULTS", "ingest", ack_wait_s=10, max_ack_pending=5000)
        except Unavailable:
            return False
        return True

    await until(made, "the stream is there", DEADLINE_S)


@asynccontextmanager
async def dispatcher(nats: NatsPlane) -> AsyncIterator[Dispatcher]:
    async with service_bus(nats, "jobs") as bus:
        signer = Signer(decode(nats.trust.command_seed.read_text()), GRANT_CONTEXT)
        speaking = Dispatcher(bus, signer, f"jobs-{uuid.uuid4().hex[:8]}")
        await speaking.hear()
        await make_stream(speaking)
        pull = Pull(bus.connection, "RESULTS", "ingest")
        await pull.start()
        taking = asyncio.create_task(speaking.take(pull))
        try:
            yield speaking
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            await pull.close()


@dataclass
class Home:
    """A process' worth of agents, below one folder that other accounts may enter."""

    nats: NatsPlane
    root: Path
    limits: Limits
    house: Household
    agents: list[Agent] = field(default_factory=list)

    async def agent(self, name: str = "a", idc: str = "js", *, lifetime_s: float = 3600, **limits: Any) -> Agent:
        """Enrol, start, and wait until its hello can be heard."""
        root = self.root / name
        if not (root / "identity.json").exists():
            enrol(self.nats, root, idc, lifetime_s=lifetime_s)
        changed = {**{name: getattr(self.limits, name) for name in Limits.__dataclass_fields__}, **limits}
        agent = Agent(Settings(root=root, limits=Limits(**changed)), self.house)
        await agent.start()
        self.agents.append(agent)
        await asyncio.wait_for(agent.parts.connection.wait_connected(), DEADLINE_S)
        return agent

    async def stop(self, agent: Agent) -> None:
        self.agents.remove(agent)
        await agent.stop()

    async def close(self) -> None:
        for agent in self.agents:
            await agent.stop()
        self.agents.clear()
        with contextlib.suppress(Exception):
            await self.house.close()


async def reached(speaking: Dispatcher, agent: Agent) -> Identity:
    """The agent's identity, once commands get through to it: interest needs a moment to cross a leaf."""
    own = agent.parts.kit.identity

    async def heard() -> bool:
        task = new_task()
        await speaking.cancel(own, task)
        with contextlib.suppress(AssertionError):
            await until(lambda: bool(speaking.acks_of(own, task, Verb.CANCEL)), "", 0.3)
            return True
        return False

    await until(heard, "commands reach the agent", DEADLINE_S)
    return own
