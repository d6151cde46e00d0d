"""Runs as the gateway sees them: answered, announced and spoken live on the real bus, kept in memory."""

import asyncio
import contextlib
from datetime import UTC, datetime

import msgspec

from contracts import runs, subjects
from contracts.agents import Language, OutputChunk
from contracts.errors import NotFound
from contracts.hosts import Targets
from contracts.people import Principal
from contracts.runs import Counts, HostOutcome, OutcomesStored, Output, OutputStored, Run, RunChanged
from contracts.states import Outcome, RunState
from runtime.background import ended
from runtime.bus import answer, streams
from runtime.bus.streams import EVENTS
from runtime.ids import run_id
from tests.conftest import service_bus
from tests.hosts import host_connection


class Stored:
    """One host's output, as far as it is stored."""

    def __init__(self, task):
        self.task, self.text, self.complete = task, b"", False


class Runs:
    def __init__(self, bus):
        self.bus = bus
        self.shown = {}
        self.stored = {}
        self.reads = 0

    def endpoints(self):
        return [answer(runs.show, self.show), answer(runs.read_output, self.output)]

    async def show(self, request, _):
        if request.run not in self.shown:
            raise NotFound("run.unknown", f"There is no run {request.run}.")
        return self.shown[request.run]

    async def output(self, request, _):
        self.reads += 1
        if (request.run, request.host) not in self.stored:
            raise NotFound("run.host_unknown", "The host is not part of this run.")
        stored = self.stored[request.run, request.host]
        text = stored.text[request.offset : request.offset + request.limit].decode(errors="ignore")
        return Output(
            text=text,
            offset=request.offset,
            next_offset=request.offset + len(text.encode()),
            stored_bytes=len(stored.text),
            complete=stored.complete,
            task=stored.task,
        )

    def begin(self, hosts=1, run=""):
        run = run or run_id()
        self.shown[run] = Run(
            id=run,
            name="",
            state=RunState.RUNNING,
            revision=1,
            by=Principal(kind="person", name="ada"),
            created_at=datetime.now(UTC),
            started_at=None,
            ended_at=None,
            language=Language.SHELL,
            script="true",
            script_sha256="",
            args=(),
            parameters=(),
            env={},
            account=None,
            timeout_s=60,
            kill_grace_s=1,
            offline_wait_s=1,
            targets=Targets(),
            hosts=hosts,
            targets_hash="",
            tries=1,
            counts=Counts(running=hosts),
            actions=(),
        )
        return run

    async def change(self, run, **fields):
        """The run moves on, and says so."""
        before = self.shown[run]
        now = msgspec.structs.replace(before, revision=before.revision + 1, **fields)
        self.shown[run] = now
        changed = RunChanged(run=run, revision=now.revision, state=now.state, hosts=now.hosts, counts=now.counts)
        await self.bus.announce(runs.run_changed, changed)
        return now.revision

    async def finish(self, run, host, task):
        """The host's outcome and all its output are stored."""
        self.stored[run, host].complete = True
        outcome = HostOutcome(host=host, hostname=host, task=task, outcome=Outcome.SUCCEEDED, exit_code=0)
        await self.bus.announce(runs.outcomes_stored, OutcomesStored(run=run, outcomes=[outcome]))

    async def store(self, run, host, text):
        self.stored[run, host].text += text
        await self.bus.announce(runs.output_stored, OutputStored(run=run, hosts=[host]))


class Speaker:
    """An agent's live output, on its own connection behind its leaf."""

    def __init__(self, connection, host):
        self.connection, self.host = connection, host

    async def say(self, task, offset, text):
        message = OutputChunk(task=task, n=0, offset=offset, text=text.decode())
        await self.connection.publish(subjects.live_output("js", self.host, task), msgspec.json.encode(message))
        await self.connection.flush()

    @contextlib.asynccontextmanager
    async def saying(self, task, offset, text):
        """Say it again and again: the gateway's interest needs a moment to cross the leaf."""

        async def again():
            while True:
                await self.say(task, offset, text)
                await asyncio.sleep(0.2)

        saying = asyncio.create_task(again())
        try:
            yield
        finally:
            await ended(saying)


@contextlib.asynccontextmanager
async def live_runs(nats):
    async with service_bus(nats, "jobs") as bus:
        await streams.ensure_stream(bus.connection, EVENTS)
        made = Runs(bus)
        await bus.serve(made.endpoints())
        yield made


@contextlib.asynccontextmanager
async def speaker(nats, folder, host):
    connection = host_connection(nats, folder, "js", host)
    connection.start()
    await connection.wait_connected()
    try:
        yield Speaker(connection, host)
    finally:
        await connection.close()
