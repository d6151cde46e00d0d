"""The runs that this instance holds, and the ear for what hosts and other instances say of them."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec
import structlog

from contracts import runs, subjects
from contracts.agents import Ack, Heartbeat, Hello, TaskState
from contracts.errors import NotFound, ServiceError
from contracts.live import AskLive, LiveHosts, live_hosts
from contracts.people import Principal
from contracts.runs import Counts, OutcomesStored, RunChanged
from contracts.states import LIVE_RUN
from contracts.subjects import ANY
from runtime.bus import Endpoint, Message, answer
from services.jobs.dispatch.conductor import Conductor
from services.jobs.dispatch.strays import Strays
from services.jobs.dispatch.tools import Tools
from services.jobs.runs.model import Fact, RunRecord, Wave, run_of
from services.jobs.runs.store import Brief, Held
from services.jobs.waves import WaveIndex

log = structlog.get_logger()

Heard = TypeVar("Heard")

_ack = msgspec.json.Decoder(Ack)
_heartbeat = msgspec.json.Decoder(Heartbeat)
_hello = msgspec.json.Decoder(Hello)
ASK_S = 2.0
"""How long a holder may take to say where hosts stand; without its answer the reader sees what MongoDB has."""


class Settling(Protocol):
    def soon(self) -> None:
        """Runs may have to be counted anew."""


class Conductors:
    def __init__(self, tools: Tools, waves: WaveIndex, settling: Settling, strays: Strays) -> None:
        self._tools = tools
        self._waves = waves
        self._settling = settling
        self._strays = strays
        self._held: dict[str, Conductor] = {}

    @property
    def held(self) -> int:
        return len(self._held)

    async def __aenter__(self) -> "Conductors":
        bus = self._tools.bus
        bus.connection.on_connect(self._reconnected)
        # Plain and not in a queue group: only so does the server's 503 reach us.
        await bus.hear(subjects.ack(ANY, ANY, bus.instance), self._acknowledged)
        await bus.hear(subjects.heartbeat(ANY, ANY), self._heard)
        await bus.hear(subjects.hello(ANY, ANY), self._greeted)
        await bus.hear(subjects.event("jobs", runs.run_changed.kind, ANY), self._changed)
        await bus.hear(subjects.event("jobs", runs.outcomes_stored.kind, ANY), self._told)
        await bus.serve([self._endpoint()], queue="")
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(conductor.stop() for conductor in self._held.values()))

    # what the use cases need

    def hold(
        self, record: RunRecord, waves: Sequence[Wave], facts: Sequence[Fact], *, taken_over: bool = False
    ) -> None:
        holder = self._held.get(record.id)
        if holder is not None:
            if holder.record.tries == record.tries:
                holder.nudge()
                return
            holder.let_go()
        for wave in waves:
            self._waves.remember(wave)
        conductor = Conductor(self._tools, record, waves, facts, taken_over=taken_over)
        self._held[record.id] = conductor
        conductor.start().add_done_callback(lambda _: self._released(conductor))

    def _released(self, conductor: Conductor) -> None:
        if self._held.get(conductor.record.id) is conductor:
            del self._held[conductor.record.id]
        self._settling.soon()

    def nudge(self, run: str) -> None:
        if run in self._held:
            self._held[run].nudge()

    def taken(self, run: str, facts: Sequence[Fact]) -> None:
        if run in self._held:
            self._held[run].taken(facts)

    async def counts(self, record: RunRecord) -> Counts:
        if record.state not in LIVE_RUN:
            return record.counts
        live = await self._live(Brief(record.id, record.owner, record.state), ())
        return live.counts if live else record.counts

    async def states(self, run: Brief, hosts: Iterable[str]) -> Mapping[str, str]:
        live = await self._live(run, tuple(hosts))
        return live.hosts if live else {}

    async def _live(self, run: Brief, hosts: tuple[str, ...]) -> LiveHosts | None:
        if run.id in self._held:
            return self._of(self._held[run.id], hosts)
        if run.owner == self._tools.bus.instance:
            return None
        try:
            ask = AskLive(run=run.id, hosts=hosts)
            return await self._tools.bus.call(live_hosts(run.owner), ask, timeout=ASK_S)
        except ServiceError:
            return None

    def _of(self, conductor: Conductor, hosts: Iterable[str]) -> LiveHosts:
        states = {host: str(conductor.parts[host].state) for host in hosts if host in conductor.parts}
        return LiveHosts(hosts=states, counts=conductor.counts())

    def _endpoint(self) -> Endpoint:
        async def live(request: AskLive, _: Principal) -> LiveHosts:
            if request.run not in self._held:
                raise NotFound("run.unknown", "This instance does not hold that run.")
            return self._of(self._held[request.run], request.hosts)

        return answer(live_hosts(self._tools.bus.instance), live)

    # what the lease keeper finds

    async def look(self, mine: Sequence[Held]) -> None:
        """`mine`: the live runs of this instance, as MongoDB has them."""
        known = {held.id for held in mine}
        for run in self._held.keys() - known:
            self.nudge(run)
        for held in mine:
            conducting = self._held.get(held.id)
            if conducting is None:
                await self._load(held.id)
            elif held.revision > conducting.record.revision:
                conducting.nudge()
        await self._compare()
        for conductor in list(self._held.values()):
            await conductor.keep_counts()

    async def _compare(self) -> None:
        """A lost event costs time, never an outcome. One question for all runs."""
        stored = await self._tools.outcomes.counts([conductor.wave.id for conductor in self._held.values()])
        for conductor in self._held.values():
            if stored.get(conductor.wave.id, 0) != conductor.stored:
                conductor.compare()

    async def _load(self, run: str) -> None:
        record = await self._tools.runs.get(run)
        waves = await self._tools.runs.waves(run)
        facts = await self._tools.outcomes.facts([wave.id for wave in waves])
        if record.owner == self._tools.bus.instance and record.state in LIVE_RUN and run not in self._held:
            self.hold(record, waves, facts, taken_over=True)

    # what is heard

    async def _reconnected(self) -> None:
        for conductor in self._held.values():
            conductor.reconnected()

    async def _acknowledged(self, message: Message) -> None:
        idc, host, _ = subjects.sender(message.subject)
        if message.no_responders:
            self._tools.counters["nobody_there"] += 1
            for conductor in self._held.values():
                if conductor.waits_for(idc, host):
                    conductor.nobody_there(host)
            return
        ack = self._read(_ack, message)
        holder = self._held.get(run_of(ack.task)) if ack is not None else None
        if ack is not None and holder is not None and holder.wave.id == ack.task and holder.has(idc, host):
            holder.acknowledged(host, ack)

    async def _heard(self, message: Message) -> None:
        idc, host, _ = subjects.sender(message.subject)
        concerned = [conductor for conductor in self._held.values() if conductor.waits_for(idc, host)]
        if concerned and (heartbeat := self._read(_heartbeat, message)):
            tasks = dict.fromkeys(heartbeat.open, TaskState.RUNNING)
            for conductor in concerned:
                conductor.alive(host, tasks.get(conductor.wave.id), hello=False)

    async def _greeted(self, message: Message) -> None:
        idc, host, _ = subjects.sender(message.subject)
        hello = self._read(_hello, message)
        if hello is None:
            return
        tasks = {each.task: each.state for each in hello.tasks}
        for conductor in self._held.values():
            if conductor.waits_for(idc, host):
                conductor.alive(host, tasks.get(conductor.wave.id), hello=True)
        self._strays.seen(idc, host, hello)

    async def _changed(self, message: Message) -> None:
        conductor = self._held.get(message.subject.rpartition(".")[2])
        if conductor and msgspec.json.decode(message.data, type=RunChanged).revision > conductor.record.revision:
            conductor.nudge()

    async def _told(self, message: Message) -> None:
        run = message.subject.rpartition(".")[2]
        if run in self._held:
            told = msgspec.json.decode(message.data, type=OutcomesStored)
            self.taken(run, [Fact(each.task, each.host, not each.verdict, each.outcome) for each in told.outcomes])

    def _read(self, decoder: msgspec.json.Decoder[Heard], message: Message) -> Heard | None:
        try:
            return decoder.decode(message.data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            self._tools.counters["heard_unreadable"] += 1
            log.warning("agent.unreadable", subject=message.subject, error=str(error)[:200])
            return None
