"""The services that this one asks, for tests that decide what they say."""

import asyncio
import contextlib
from datetime import UTC, datetime

from contracts import runs
from contracts.accounts import ResolvedAccount, resolve_account
from contracts.agents import Language
from contracts.errors import Conflict, Forbidden, NotFound, Unavailable
from contracts.hosts import Targets
from contracts.runs import Counts, HostResult, HostResults, Output, Run
from contracts.scripts import ResolvedScript, resolve_script
from contracts.states import RunState
from runtime.bus import answer
from tests.conftest import service_bus
from tests.resources.people import OPERATOR


class Others:
    """Answers what the service asks of jobs and config, as they do."""

    def __init__(self):
        self.started, self.keys, self.said, self.asked = [], {}, {}, []
        self.away = self.refuses = False
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.reads = asyncio.Event()
        """Output is told once it is set."""
        self.reads.set()
        self.reading = 0
        self.tags = ("collector",)

    async def start(self, request, by):
        if self.away:
            raise Unavailable("storage.away", "The database does not answer.")
        if self.refuses:
            raise Conflict("script.not_online", "No version is online.")
        if request.idempotency_key not in self.keys:
            self.keys[request.idempotency_key] = f"r{len(self.started)}"
            self.started.append((request, by))
        return self._run(self.keys[request.idempotency_key])

    async def show(self, request, _):
        return self._run(request.run)

    def _run(self, name):
        ended_at = datetime.now(UTC) if self.goes_on.is_set() else None
        return Run(
            id=name, name="", state=RunState.RUNNING, revision=1, by=OPERATOR, created_at=datetime.now(UTC),
            started_at=None, ended_at=ended_at, language=Language.SHELL, script="", script_sha256="", args=(),
            parameters=(), env={}, account=None, timeout_s=1, kill_grace_s=1, offline_wait_s=1, targets=Targets(),
            hosts=1, targets_hash="", tries=1, counts=Counts(), actions=(),
        )  # fmt: skip

    async def results(self, request, _):
        wanted = [host for host in sorted(self.said) if host > request.after][:2]
        found = [
            HostResult(
                host=host, hostname="", ip="", idc="js", task="t1",
                state="failed" if self.said[host] is None else "succeeded",
                output_bytes=len(self.said[host] or ""),
            )
            for host in wanted
        ]  # fmt: skip
        return HostResults(hosts=found, next=wanted[-1] if wanted and wanted[-1] != max(self.said) else "")

    async def output(self, request, _):
        """In pieces."""
        self.reading += 1
        await self.reads.wait()
        text = self.said[request.host][request.offset : request.offset + 40]
        return Output(
            text=text,
            offset=request.offset,
            next_offset=request.offset + len(text),
            stored_bytes=len(self.said[request.host]),
            complete=True,
        )

    async def script(self, request, _):
        if request.name == "none":
            raise NotFound("script.unknown", "There is no script none.")
        return ResolvedScript(
            name=request.name, version=1, sha256="", language=Language.SHELL, text="", tags=self.tags, parameters=()
        )

    async def account(self, request, _):
        self.asked.append((request.account, request.principal.name))
        if request.account == "root" and request.principal.name != "ada":
            raise Forbidden("account.not_granted", "The account root is not granted.")
        return ResolvedAccount(alias=request.account, os_user="")


@contextlib.asynccontextmanager
async def serving(nats):
    made = Others()
    async with service_bus(nats, "jobs") as jobs, service_bus(nats, "config") as config:
        await jobs.serve(
            [
                answer(runs.start, made.start),
                answer(runs.show, made.show),
                answer(runs.list_host_results, made.results),
                answer(runs.read_output, made.output),
            ]
        )
        await config.serve([answer(resolve_script, made.script), answer(resolve_account, made.account)])
        yield made
