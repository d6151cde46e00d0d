"""What runs on one machine, and with which settings: written as a Procfile and an environment that honcho takes."""

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bootstrap import environment, mongo, nats_config, ports, trust
from bootstrap.environment import MANAGEMENT_IDC, Addresses
from bootstrap.files import write, write_if_changed
from bootstrap.nats_config import Hub, Leaf
from bootstrap.ports import LOOPBACK, Ports
from bootstrap.state import State
from bootstrap.trust import Trust

IDCS = ("js", "bj")
AGENTS_PER_IDC = 3
ADMIN = "admin"
HEARTBEAT_S = 5
"""Much shorter than in production: one watches, and there are seven agents."""
SPAWNER_IDLE_S = 3
AGENT_PREFIX = "agent-"


@dataclass(frozen=True)
class Agent:
    name: str
    idc: str
    address: str = ""
    """On one machine all agents would say the same; each names a loopback address of its own instead."""


AGENTS = tuple(
    Agent(f"{idc}-{number}", idc, f"127.0.{place}.{number}")
    for place, idc in enumerate(IDCS, start=1)
    for number in range(1, AGENTS_PER_IDC + 1)
)
MANAGER = Agent("manager", MANAGEMENT_IDC)


@dataclass(frozen=True)
class Plane:
    state: State
    ports: Ports
    nats_url: str = ""
    """Servers that run elsewhere, separated by commas, with the trust of this state; then none is started here."""
    mongo_url: str = ""
    """A replica set that runs elsewhere; then none is started here."""

    @property
    def gateway_url(self) -> str:
        return f"http://{LOOPBACK}:{self.ports.gateway}"

    @property
    def hub_url(self) -> str:
        return self.nats_url or f"tls://{LOOPBACK}:{self.ports.hub}"

    @property
    def parts(self) -> tuple[str, ...]:
        """In the order of starting."""
        return ("drover",) if self.nats_url and self.mongo_url else ("servers", "drover")

    @property
    def used_ports(self) -> tuple[str, ...]:
        return (
            *ports.SERVICE_PORTS,
            *(() if self.nats_url else ports.NATS_PORTS),
            *(() if self.mongo_url else ports.MONGO_PORTS),
        )

    def leaf_port(self, idc: str) -> int:
        port: int = getattr(self.ports, f"leaf_{idc}")
        return port


def prepare(plane: Plane, hosts: Mapping[str, tuple[str, ...]] | None = None) -> Trust:
    """Write everything that starting needs; what is there already stays. `hosts` as in bootstrap.trust."""
    state = plane.state
    state.make()
    announced = nats_config.accounts_folder(state.nats, "hub")
    made = trust.prepare(state.trust, IDCS, hosts=hosts, announced=announced)
    state.password()
    _write_nats(plane, made)
    for agent in AGENTS:
        facts = {"hostname": agent.name, "ips": [agent.address]}
        write_if_changed(state.agent_facts(agent.name) / "etc/drover-facts.json", json.dumps(facts).encode())
    settings = "".join(f"{name}={shlex.quote(value)}\n" for name, value in _environment(plane, made).items())
    write(state.environment, settings.encode())
    for part, commands in (("servers", _servers(plane)), ("drover", _drover(plane))):
        procfile = "".join(f"{name}: {_line(plane, name, command)}\n" for name, command in commands.items())
        write(state.procfile(part), procfile.encode())
    # A token that was left by a start that was cut off would be refused, and an agent that is refused ends.
    for agent in (*AGENTS, MANAGER):
        state.join_file(agent.name).unlink(missing_ok=True)
    return made


def _write_nats(plane: Plane, made: Trust) -> None:
    each = plane.ports
    hub = Hub(host=LOOPBACK, port=each.hub, leaf_port=each.hub_leaves, monitor_port=each.hub_monitor)
    nats_config.write_hub(plane.state.nats, made, hub)
    for idc in IDCS:
        monitor: int = getattr(each, f"leaf_{idc}_monitor")
        leaf = Leaf(idc, (f"{LOOPBACK}:{each.hub_leaves}",), LOOPBACK, plane.leaf_port(idc), monitor)
        nats_config.write_leaf(plane.state.nats, made, leaf)


def _environment(plane: Plane, made: Trust) -> dict[str, str]:
    relays = {idc: plane.nats_url or f"tls://{LOOPBACK}:{plane.leaf_port(idc)}" for idc in IDCS}
    mongo_url = plane.mongo_url or mongo.url(plane.ports.mongo)
    addresses = Addresses(hub=plane.hub_url, relays=relays, mongo=mongo_url)
    return {
        **environment.resources(made, addresses, plane.ports.resources),
        "RESOURCES_HEARTBEAT_S": str(HEARTBEAT_S),
        **environment.config(made, addresses, plane.ports.config, depot=str(plane.state.depot)),
        **environment.jobs(made, addresses, plane.ports.jobs_1),
        **environment.gateway(
            made,
            addresses,
            plane.ports.gateway,
            password_file=str(plane.state.password_file),
            depot=str(plane.state.depot),
        ),
        "GATEWAY_FIRST_ADMIN": ADMIN,
        "DROVER_AGENT_HEARTBEAT_S": str(HEARTBEAT_S),
        "DROVER_AGENT_SPAWNER_IDLE_S": str(SPAWNER_IDLE_S),
        "PYTHONUNBUFFERED": "1",
    }


def _servers(plane: Plane) -> dict[str, str]:
    """Name of each process → the command line that becomes it."""
    state = plane.state
    commands = {}
    if not plane.mongo_url:
        commands["mongod"] = shlex.join(mongo.command(state.mongo, plane.ports.mongo))
    if not plane.nats_url:
        for server in ("hub", *(f"leaf-{idc}" for idc in IDCS)):
            commands[server] = shlex.join([str(nats_config.program()), "-c", str(state.nats / f"{server}.conf")])
    return commands


def _drover(plane: Plane) -> dict[str, str]:
    python = shlex.quote(sys.executable)
    commands = {
        "resources": f"{python} -m services.resources",
        "config": f"{python} -m services.config",
        "jobs-1": f"{python} -m services.jobs",
        "jobs-2": f"env JOBS_HTTP_PORT={plane.ports.jobs_2} {python} -m services.jobs",
        "gateway": f"{python} -m services.gateway",
    }
    for agent in (*AGENTS, MANAGER):
        commands[AGENT_PREFIX + agent.name] = f"{python} -m agent {shlex.join(_agent_words(plane, agent))}"
    return commands


def _line(plane: Plane, name: str, command: str) -> str:
    """The shell line that becomes the process.

    Each has a log of its own: honcho would wait for whoever still holds the pipe it gave, and what a script leaves
    running may hold it for ever. Agents begin when there is a token for them.
    """
    log = shlex.quote(str(plane.state.log(name)))
    wait = ""
    if name.startswith(AGENT_PREFIX):
        token = shlex.quote(str(plane.state.join_file(name.removeprefix(AGENT_PREFIX))))
        wait = f"until [ -s {token} ]; do sleep 0.2; done; "
    return f"{wait}exec {command} >{log} 2>&1"


def _agent_words(plane: Plane, agent: Agent) -> list[str]:
    facts = ("--facts-root", str(plane.state.agent_facts(agent.name))) if agent.address else ()
    return [
        "run",
        *("--root", str(plane.state.agent(agent.name))),
        *("--gateway", plane.gateway_url),
        *("--join-file", str(plane.state.join_file(agent.name))),
        *facts,
    ]


def project() -> Path:
    """Where the rooms are: `python -m services.jobs` works from here whether or not Drover is installed."""
    return Path(__file__).parents[1]
