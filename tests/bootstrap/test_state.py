"""The folder of a plane: one at a time, and what it needs of the machine."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap.ports import MONGO_PORTS, NATS_PORTS, SERVICE_PORTS, BadPort, Ports, PortTaken, check_free
from bootstrap.state import SETTING, AlreadyRunning, State
from runtime.settings import BadSettings, load
from tests.servers import free_ports


def test_a_second_plane_is_told_that_one_runs_and_which(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    with state.held():
        second = subprocess.run(
            [sys.executable, "-m", "bootstrap", "--state", str(state.root), "demo"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    line = (tmp_path / "state/lock").read_text().strip()

    assert second.returncode == 1
    assert second.stderr.strip().count("\n") == 0
    assert f"already runs with the state in {state.root} (process {line})" in second.stderr


def test_the_lock_ends_with_its_last_holder(tmp_path: Path) -> None:
    state = State(tmp_path)
    with state.held() as lock:
        heir = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock,))
    try:
        with pytest.raises(AlreadyRunning) as told, state.held():
            pass
        assert f"its first process is gone, and what that started still runs: end it with kill {heir.pid}," in str(
            told.value
        )
    finally:
        heir.communicate(b"\n", timeout=30)

    with state.held():
        pass


def test_the_first_admins_password_is_made_once_and_only_the_owner_reads_it(tmp_path: Path) -> None:
    state = State(tmp_path)

    first = state.password()

    assert len(first) >= 16
    assert state.password() == first
    assert stat.S_IMODE(state.password_file.stat().st_mode) == 0o600


def test_a_port_that_is_taken_is_named_with_the_way_out() -> None:
    [free] = free_ports(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(PortTaken) as said:
            check_free(Ports(resources=free, gateway=port), ["resources", "gateway"])

    assert f"port {port}" in str(said.value)
    assert "set DROVER_PORT_GATEWAY to a free one" in str(said.value)


@pytest.mark.parametrize("number", [0, -1, 65_536, 99_999])
def test_a_number_that_is_no_port_is_named(number: int) -> None:
    with pytest.raises(BadPort, match=f"^DROVER_PORT_HUB={number} is no port: give one from 1 to 65535$"):
        check_free(Ports(hub=number), ["gateway", "hub"])


def test_two_that_are_meant_to_share_a_port_are_named() -> None:
    with pytest.raises(BadPort, match=r"^port 8470 is meant for gateway and for hub: set DROVER_PORT_HUB to another"):
        check_free(Ports(hub=8470), ["gateway", "hub"])
    check_free(Ports(hub=free_ports(1)[0], mongo=8470), ["hub"])  # those that are not used do not count


def test_the_start_says_it_in_one_line(tmp_path: Path) -> None:
    start = subprocess.run(
        [sys.executable, "-m", "bootstrap", "--state", str(tmp_path / "state"), "demo"],
        env={**os.environ, "DROVER_PORT_HUB": "99999"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (start.returncode, start.stdout) == (1, "")
    assert start.stderr.splitlines() == ["DROVER_PORT_HUB=99999 is no port: give one from 1 to 65535"]


def test_ports_come_from_the_environment() -> None:
    assert load(Ports, "DROVER_PORT_", {"DROVER_PORT_HUB": "5222"}).hub == 5222
    with pytest.raises(BadSettings, match="DROVER_PORT_HUBB"):
        load(Ports, "DROVER_PORT_", {"DROVER_PORT_HUBB": "5222"})


def test_every_port_belongs_to_one_kind_and_none_is_used_twice() -> None:
    names = [*NATS_PORTS, *MONGO_PORTS, *SERVICE_PORTS]

    assert sorted(names) == sorted(Ports.__dataclass_fields__)
    assert len({getattr(Ports(), name) for name in names}) == len(names)


def test_the_reference_has_the_settings_of_one_machine() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/settings.md").read_text()

    for name in [SETTING, *(f"DROVER_PORT_{name.upper()}" for name in Ports.__dataclass_fields__)]:
        assert f"| `{name}` |" in page
