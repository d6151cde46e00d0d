"""What is written before a start: settings that every process accepts, and only what must be started."""

import stat
from pathlib import Path

import pytest
from honcho import environ

from agent.settings import Limits
from bootstrap.plane import AGENTS, MANAGER, Plane, prepare
from bootstrap.ports import Ports
from bootstrap.state import State
from runtime.settings import load
from services.gateway.settings import Settings as GatewaySettings
from services.resources.settings import Settings as ResourcesSettings
from services.resources.settings import command_keys, relays

SERVERS = ["mongod", "hub", "leaf-js", "leaf-bj"]
OURS = ["resources", "config", "jobs-1", "jobs-2", "gateway", *(f"agent-{agent.name}" for agent in (*AGENTS, MANAGER))]


def processes(plane: Plane) -> list[str]:
    """In the order of starting."""
    return [
        name
        for part in plane.parts
        for name in environ.parse_procfile(plane.state.procfile(part).read_text()).processes
    ]


def settings(plane: Plane) -> dict[str, str]:
    parsed: dict[str, str] = environ.parse(plane.state.environment.read_text())
    return parsed


@pytest.fixture
def plane(tmp_path: Path) -> Plane:
    """In a folder whose name needs quoting."""
    return Plane(State(tmp_path / "it's a state"), Ports())


def test_everything_is_started_in_the_order_of_need(plane: Plane) -> None:
    prepare(plane)

    assert processes(plane) == [*SERVERS, *OURS]
    assert [agent.name for agent in AGENTS] == ["js-1", "js-2", "js-3", "bj-1", "bj-2", "bj-3"]


def test_servers_that_run_elsewhere_are_not_started(tmp_path: Path) -> None:
    plane = Plane(
        State(tmp_path), Ports(), nats_url="tls://n1:4222,tls://n2:4222", mongo_url="mongodb://m/?replicaSet=r"
    )

    prepare(plane)

    assert processes(plane) == OURS
    assert settings(plane)["JOBS_MONGO_URL"] == "mongodb://m/?replicaSet=r"
    assert load(ResourcesSettings, "RESOURCES_", settings(plane)).nats_url == ("tls://n1:4222", "tls://n2:4222")
    assert relays(load(ResourcesSettings, "RESOURCES_", settings(plane))) == dict.fromkeys(
        ("js", "bj", "mgmt"), ("tls://n1:4222", "tls://n2:4222")
    )
    assert set(plane.used_ports) == {"gateway", "resources", "config", "jobs_1", "jobs_2"}


def test_the_services_accept_what_they_are_told(plane: Plane) -> None:
    prepare(plane)
    told = settings(plane)

    resources = load(ResourcesSettings, "RESOURCES_", told)
    gateway = load(GatewaySettings, "GATEWAY_", told)
    limits = load(Limits, "DROVER_AGENT_", told)

    assert resources.agent_signing_seed.startswith("SA")
    assert resources.ca.startswith("-----BEGIN CERTIFICATE-----")
    assert len(command_keys(resources)) == 1
    assert relays(resources)["js"] == ("tls://127.0.0.1:14223",)
    assert (gateway.first_admin, gateway.first_admin_password) == ("admin", plane.state.password())
    assert gateway.http_port == 8470
    assert limits.heartbeat_s == resources.heartbeat_s


def test_only_the_owner_reads_what_is_written(plane: Plane) -> None:
    prepare(plane)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in plane.state.root.rglob("*") if path.is_file()}

    assert modes == {0o600}


def test_other_accounts_pass_to_the_agents_and_to_nothing_else(plane: Plane) -> None:
    plane.state.root.mkdir(mode=0o700)  # as it was made by versions that let nobody pass

    prepare(plane)

    root = plane.state.root
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (root, *root.iterdir()) if path.is_dir()}
    assert {name for name, mode in modes.items() if mode == 0o711} == {root.name, "agents"}
    assert {mode for name, mode in modes.items() if name not in {root.name, "agents"}} == {0o700}


def test_preparing_again_changes_nothing(plane: Plane) -> None:
    prepare(plane)
    first = {path: path.read_bytes() for path in plane.state.root.rglob("*") if path.is_file()}

    prepare(plane)

    assert {path: path.read_bytes() for path in plane.state.root.rglob("*") if path.is_file()} == first
