"""`make demo` and `make run` as a person meets them: real servers, services, agents and scripts."""

import asyncio
import contextlib
import http.cookiejar
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from bootstrap.ports import Ports
from bootstrap.state import State
from tests.bootstrap.leftovers import belonging
from tests.servers import free_ports, mongod, nats_plane, until

START_S = 180
OTHER_ACCOUNT = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
"""Only root can become somebody else; others can at least name themselves."""


class Person:
    """Starts planes with one state and its own ports, and reads what they say."""

    def __init__(self, state: Path) -> None:
        self.state = state
        names = [field.name for field in fields(Ports)]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.environment = {
            **os.environ,
            "DROVER_STATE": str(state),
            **{f"DROVER_PORT_{name.upper()}": str(port) for name, port in self.ports.items()},
        }

    def start(self, command: str) -> "subprocess.Popen[str]":
        # As a shell starts what runs in the background: Ctrl-C is ignored, and a plane must listen for it all the same.
        words = ["env", "--ignore-signal=INT,QUIT", sys.executable, "-m", "bootstrap", command]
        return subprocess.Popen(
            words, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def sees(self, command: str) -> tuple[int, str]:
        plane = self.start(command)
        said, _ = plane.communicate(timeout=2 * START_S)
        return plane.returncode, said

    def runs(self) -> "tuple[subprocess.Popen[str], str]":
        """A plane that is ready, and what it said until then."""
        plane, said = self.start("run"), ""
        assert plane.stdout is not None
        while "Ctrl-C stops everything" not in said:
            line = plane.stdout.readline()
            assert line, f"it ended:\n{said}"
            said += line
        return plane, said

    def client(self) -> urllib.request.OpenerDirector:
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        return urllib.request.build_opener(urllib.request.ProxyHandler({}), jar)

    def asks(self, client: urllib.request.OpenerDirector, path: str, body: object = None) -> Any:
        url = f"http://127.0.0.1:{self.ports['gateway']}/api/v1{path}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with client.open(request, timeout=90) as answer:
            return json.load(answer)


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    person = Person(tmp_path / "state")
    yield person
    for pid in belonging(person.state):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_the_demo_succeeds_on_six_hosts_and_again_with_the_same_state(person: Person) -> None:
    for _ in range(2):
        status, said = person.sees("demo")

        assert status == 0, said
        assert re.search(r"run \S+: succeeded", said)
        rows = re.findall(r"([jb][sj]-\d)\W+[jb][sj]\W+\S+\W+succeeded\W+0", said)
        assert sorted(rows) == ["bj-1", "bj-2", "bj-3", "js-1", "js-2", "js-3"]
        assert belonging(person.state) == set()


async def test_a_plane_that_runs_refuses_a_second_and_leaves_nothing_upon_ctrl_c(person: Person) -> None:
    plane, said = person.runs()
    password = re.search(r"password (\S+)", said)
    assert password, said
    assert f"http://127.0.0.1:{person.ports['gateway']}/api/docs" in said

    status, refusal = person.sees("run")
    assert status == 1
    assert f"already runs with the state in {person.state}" in refusal

    client = person.client()
    person.asks(client, "/login", {"name": "admin", "password": password[1]})
    assert len(person.asks(client, "/hosts?online=true")["hosts"]) == 7
    script = "trap '' TERM INT HUP; setsid sleep 7777 & sleep 7777"
    run = person.asks(client, "/runs", {"script": script, "targets": {"all": True}})["id"]
    await until(lambda: person.asks(client, f"/runs/{run}")["counts"]["running"] == 6, "six scripts run")

    plane.send_signal(signal.SIGINT)

    rest, _ = plane.communicate(timeout=START_S)
    assert plane.returncode == 130, rest
    assert belonging(person.state) == set()


async def test_what_a_killed_plane_left_is_named_and_ends_as_it_says(person: Person) -> None:
    plane, _ = person.runs()
    plane.kill()
    plane.communicate()

    status, refusal = person.sees("run")
    assert status == 1
    kill = re.search(r"end it with kill((?: \d+)+),", refusal)
    assert kill, refusal
    for pid in kill[1].split():
        os.kill(int(pid), signal.SIGTERM)

    await until(lambda: not belonging(person.state), "nothing is left", 60)
    with State(person.state).held():
        pass


@pytest.fixture
def passable() -> Iterator[Path]:
    """Not pytest's own folder: no other account may enter that."""
    root = Path(tempfile.mkdtemp(prefix="drover-run-"))
    root.chmod(0o711)
    yield root
    shutil.rmtree(root)


async def test_scripts_run_as_another_account_of_the_machine(passable: Path) -> None:
    person = Person(passable / "state")
    person.environment["DROVER_AGENT_ACCOUNTS"] = OTHER_ACCOUNT
    plane = None
    try:
        plane, _ = person.runs()
        client = person.client()
        password = (person.state / "first-admin-password").read_text()
        person.asks(client, "/login", {"name": "admin", "password": password})
        script = '. "$DROVER_LIB"; drover_tag "$(id -un)"; python3 -c "import drover; drover.result(7)"'
        order = {"script": script, "account": OTHER_ACCOUNT, "targets": {"all": True}}
        run = person.asks(client, "/runs", order)["id"]
        await until(lambda: person.asks(client, f"/runs/{run}")["ended_at"] is not None, "the run ends", 60)
        hosts = person.asks(client, f"/runs/{run}/hosts?head_bytes=1000")["hosts"]
    finally:
        if plane is not None:
            plane.terminate()
            plane.communicate(timeout=120)

    assert [(each["state"], each["tag"], each["result"], each["head"]) for each in hosts] == [
        ("succeeded", OTHER_ACCOUNT, "7", "")
    ] * 6


async def test_servers_that_run_already_are_used(person: Person, tmp_path: Path) -> None:
    async with nats_plane(person.state) as nats, mongod(tmp_path) as mongo:
        person.environment |= {"NATS_URL": nats.hub_url, "MONGO_URL": mongo.url}
        status, said = await asyncio.to_thread(person.sees, "demo")
        started = {path.stem for path in (person.state / "logs").glob("*.log")}

    assert status == 0, said
    assert {"config", "gateway", "jobs-1", "jobs-2", "resources"} < started
    assert not started & {"hub", "leaf-js", "leaf-bj", "mongod", "servers"}


def test_a_port_that_is_taken_stops_the_start_with_one_line(person: Person) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", person.ports["gateway"]))
        taken.listen()
        status, said = person.sees("demo")

    assert status == 1
    assert said.strip().splitlines() == [
        f"port {person.ports['gateway']}, meant for gateway, cannot be used (Address already in use):"
        " set DROVER_PORT_GATEWAY to a free one"
    ]
