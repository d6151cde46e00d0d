"""The jobs service with everything around it: real servers, two instances, hosts that keep the contract."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench.simulated_agent import Knobs, SimulatedAgent
from contracts import accounts as account_contracts
from contracts import groups as group_contracts
from contracts import hosts as host_contracts
from contracts import runs, subjects
from contracts import variables as variable_contracts
from contracts.accounts import ResolveAccount, ResolvedAccount
from contracts.errors import Forbidden, Invalid, Unavailable
from contracts.groups import AskGroups, GroupKind, GroupsOfHosts, HostGroups, Membership
from contracts.hosts import (
    Host,
    HostClass,
    HostFacts,
    HostState,
    Presence,
    ResolveTargets,
    TargetHost,
    Targets,
    TargetSet,
)
from contracts.live import AskLive, live_hosts
from contracts.people import Principal
from contracts.permissions import Role, Scope
from contracts.runs import RunRef, StartRun
from contracts.states import LIVE_RUN
from contracts.variables import HostValues, ResolvedVariables, ResolveVariables
from runtime.bus import Bus, Disconnected, Message, answer
from runtime.mongo import Database
from runtime.signing import BoxKey, sha256
from services.jobs.app import work
from services.jobs.settings import Settings
from tests.conftest import service_bus
from tests.hosts import host_connection
from tests.jobs.shelf import Shelf
from tests.servers import READY_S, NatsPlane, free_ports, until

ROOT = Path(__file__).parents[2]
OPERATOR = Principal(kind="person", name="ann", roles=(Role.OPERATOR,), via="session")
VIEWER = Principal(kind="person", name="vic", roles=(Role.VIEWER,), via="session")
WAITS = {"lease_s": 5.0, "silence_s": 15.0, "start_margin_s": 15.0, "clock_skew_s": 0.5}
"""Long enough that no verdict falls over a host, and no lease runs out, because the machine stood still meanwhile; a
test that waits for one of them has it shorter."""


@dataclass
class Instance:
    bus: Bus
    stop: asyncio.Event
    task: asyncio.Task

    async def end(self):
        self.stop.set()
        await self.task


@dataclass
class Rig:
    nats: NatsPlane
    mongo_url: str
    database: Database
    folder: Path
    gateway: Bus
    hosts: dict[str, TargetHost] = field(default_factory=dict)
    boxes: dict[str, BoxKey] = field(default_factory=dict)
    agents: dict[str, SimulatedAgent] = field(default_factory=dict)
    instances: list[Instance] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    """Where the health pages of the instances are."""
    accounts: dict[str, str] = field(default_factory=dict)
    """Alias → OS user, of accounts that are not called like their user."""
    refused: set[tuple[str, str]] = field(default_factory=set)
    """(alias, person) to whom it is not granted."""
    groups: dict[str, str] = field(default_factory=dict)
    """Host → the group it is in. If there are any, each group has the account of its name as its default."""
    heard: list[ResolveAccount] = field(default_factory=list)
    shelf: Shelf = field(default_factory=Shelf)
    variables: dict[str, HostValues] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=list)
    """What runs brought, as config was told."""
    resolving: Callable[[ResolveVariables], Awaitable[None]] | None = None
    """Called before config answers, which may raise or hold it up."""
    greeted: set[str] = field(default_factory=set)
    """Hosts whose hello has come to the hub."""

    def settings(self, **changed) -> Settings:
        return Settings(
            nats_url=(self.nats.hub_url,),
            nats_credentials=self.nats.trust.credentials("jobs"),
            nats_ca=self.nats.trust.ca,
            mongo_url=self.mongo_url,
            signing_seed=self.nats.trust.command_seed.read_text().strip(),
            **{"secrets_key": self.nats.trust.at_rest_key.read_text().strip(), **WAITS, **changed},
        )

    async def instance(self, **changed) -> Instance:
        bus, stop, [port] = service_bus(self.nats, "jobs"), asyncio.Event(), free_ports(1)
        self.ports.append(port)

        async def serve():
            async with bus:
                await work(self.settings(http_port=port, **changed), bus, self.database, stop)

        task = asyncio.create_task(serve())
        instance = Instance(bus, stop, task)
        self.instances.append(instance)
        await until(lambda: task.done() or any("jobs.runs.start" in s for s in bus.discovery._subjects), "jobs serves")
        assert not task.done(), task.exception()
        return instance

    @contextlib.asynccontextmanager
    async def process(self):
        """An instance in a process of its own, with its log."""
        log = self.folder / "jobs.log"
        trust = self.nats.trust
        environ = {
            **os.environ,
            "JOBS_NATS_URL": self.nats.hub_url,
            "JOBS_NATS_CREDENTIALS": str(trust.credentials("jobs")),
            "JOBS_NATS_CA": str(trust.ca),
            "JOBS_MONGO_URL": self.mongo_url,
            "JOBS_MONGO_DATABASE": self.database.name,
            "JOBS_SIGNING_SEED_FILE": str(trust.command_seed),
            "JOBS_SECRETS_KEY_FILE": str(trust.at_rest_key),
            **{f"JOBS_{name.upper()}": str(value) for name, value in WAITS.items()},
        }
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.jobs", env=environ, stdout=file, stderr=file, cwd=ROOT
            )
        try:
            await until(lambda: "jobs.serving" in log.read_text(), "the process serves")
            yield process, log
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def known(self, *names, idc="js", **more):
        """Hosts that resources knows; nobody is behind them yet."""
        for name in names:
            box = self.boxes[name] = BoxKey()
            self.hosts[name] = TargetHost(
                id=name, idc=idc, ip=f"10.0.0.{len(self.hosts)}", hostname=f"{name}.test", box_key=box.public_key,
                online=True, **more,
            )  # fmt: skip

    async def agent(self, name, **knobs) -> SimulatedAgent:
        """A host with an agent that is there."""
        if name not in self.hosts:
            self.known(name)
        host = self.hosts[name]
        agent = SimulatedAgent(
            host_connection(self.nats, self.folder, host.idc, name),
            host.idc,
            name,
            json.loads(self.nats.trust.command_keys.read_text()),
            Knobs(**knobs),
            self.boxes[name],
        )
        self.agents[name] = agent
        self.greeted.discard(name)
        await agent.start()
        await until(lambda: self._greets(agent), f"the hub knows that {name} is there")
        return agent

    async def _greets(self, agent: SimulatedAgent) -> bool:
        """The hub learns in order what the leaf tells it: who has heard the hello can reach the host."""
        if agent.host not in self.greeted:
            with contextlib.suppress(Disconnected):
                await agent.hello()
            with contextlib.suppress(AssertionError):
                await until(lambda: agent.host in self.greeted, "", 0.3)
        return agent.host in self.greeted

    async def greet(self, message: Message) -> None:
        self.greeted.add(subjects.sender(message.subject).host)

    async def resolve(self, request: ResolveTargets, _: Principal) -> TargetSet:
        seen = [name for name, host in self.hosts.items() if _lies_in(host, request.scopes)]
        found = sorted(set(request.targets.ids or seen))
        if set(found) - set(seen):
            raise Invalid("targets.unknown", "Some names match no host.")
        if not found:
            raise Invalid("targets.empty", "No host fits.")
        page = [name for name in found if name > request.after][: request.limit]
        return TargetSet(
            hosts=[self.hosts[name] for name in page],
            hash=sha256("\n".join(found).encode()),
            next=page[-1] if page[-1] != found[-1] else "",
            total=len(found),
        )

    async def account(self, request: ResolveAccount, _: Principal) -> ResolvedAccount:
        self.heard.append(request)
        if self.groups and not request.account and request.groups is None:
            return ResolvedAccount(ask_groups=tuple(sorted(set(self.groups.values()))))
        defaults = sorted({each[-1] for each in request.groups or () if each})
        alias = request.account or (defaults[0] if defaults else "agent")
        if (alias, request.principal.name) in self.refused:
            raise Forbidden("account.not_granted", f"{alias} is not granted.")
        return ResolvedAccount(alias=alias, os_user=self.accounts.get(alias, "" if alias == "agent" else alias))

    async def resolve_variables(self, request: ResolveVariables, _: Principal) -> ResolvedVariables:
        """Half of what is asked for at a time, as when a message is full."""
        self.tasks.append(request.task)
        if self.resolving is not None:
            await self.resolving(request)
        now = request.hosts[: max(1, len(request.hosts) // 2)]
        found = [self.variables[name] for name in now if name in self.variables]
        at = request.at or datetime.now(UTC).replace(microsecond=0)
        return ResolvedVariables(hosts=found, rest=request.hosts[len(now) :], at=at)

    async def of_hosts(self, request: AskGroups, _: Principal) -> GroupsOfHosts:
        """Half of what is asked for at a time, as when a message is full."""
        now, asked = request.hosts[: max(1, len(request.hosts) // 2)], request.among or ()
        found = [
            HostGroups(host=_host(self.hosts[name]), groups=[m for m in self._memberships(name) if m.name in asked])
            for name in now
        ]
        return GroupsOfHosts(hosts=found, rest=request.hosts[len(now) :])

    def _memberships(self, name: str) -> list[Membership]:
        custom = [self.groups[name]] if name in self.groups else []
        kinds = [("global", GroupKind.GLOBAL), *((each, GroupKind.CUSTOM) for each in custom)]
        return [Membership(name=each, kind=kind, number=0) for each, kind in kinds]

    # what people do

    async def start(self, *names, by=OPERATOR, **fields):
        fields = {"script": "echo hi", "offline_wait_s": 0, "timeout_s": 60, "kill_grace_s": 0, **fields}
        request = StartRun(targets=Targets(ids=names) if names else Targets(all=True), **fields)
        return await self.gateway.call(runs.start, request, principal=by)

    async def ask(self, call, request, by=OPERATOR):
        return await self.gateway.call(call, request, principal=by)

    async def show(self, run):
        return await self.ask(runs.show, RunRef(run=run.id))

    async def ended(self, run, timeout_s=READY_S):
        async def closed():
            with contextlib.suppress(Unavailable):  # as a client would, it asks again
                return (await self.show(run)).state not in LIVE_RUN
            return False

        await until(closed, f"run {run.id} ends", timeout_s)
        return await self.show(run)

    async def live(self, run):
        """host → where it stands, asked of whoever holds the run."""
        for instance in self.instances:
            with contextlib.suppress(Exception):
                ask = AskLive(run=run.id, hosts=tuple(self.hosts))
                return (await self.gateway.call(live_hosts(instance.bus.instance), ask)).hosts
        return {}

    async def becomes(self, run, host, state):
        async def is_so():
            return (await self.live(run)).get(host) == state

        await until(is_so, f"{host} is {state}")

    async def documents(self, collection, **query):
        return [each async for each in self.database[collection].find(query)]

    async def close(self):
        for agent in self.agents.values():
            await agent.close()
        for instance in self.instances:
            if not instance.task.done():
                await instance.end()


def _host(target: TargetHost) -> Host:
    return Host(
        id=target.id, hostname=target.hostname, ips=(target.ip,), idc=target.idc, host_class=HostClass.PHYSICAL,
        state=HostState.IN_SERVICE, business=target.business, product_line="", tags=(), labels={}, facts=HostFacts(),
        presence=Presence(), created_at=datetime.now(UTC), revision=1,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def rig(nats, mongo_url, database, folder, *, instances=2, **settings):
    resources, config, gateway = (service_bus(nats, name) for name in ("resources", "config", "gateway"))
    async with resources, config, gateway:
        built = Rig(nats, mongo_url, database, folder, gateway)
        await resources.hear(subjects.hello(subjects.ANY, subjects.ANY), built.greet)
        await resources.serve(
            [
                answer(host_contracts.resolve_targets, built.resolve),
                answer(group_contracts.groups_of_hosts, built.of_hosts),
            ]
        )
        await config.serve(
            [
                answer(account_contracts.resolve_account, built.account),
                answer(variable_contracts.resolve_variables, built.resolve_variables),
                *built.shelf.endpoints(),
            ],
        )
        for _ in range(instances):
            await built.instance(**settings)
        try:
            yield built
        finally:
            await built.close()


def _lies_in(host: TargetHost, scopes: tuple[Scope, ...] | None) -> bool:
    """As far as it goes here: resources knows groups too."""
    return scopes is None or any(each.businesses is None or host.business in each.businesses for each in scopes)
