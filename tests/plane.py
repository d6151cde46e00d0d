"""The whole plane for tests: real servers, services and agents as processes that can be killed and started again."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from bootstrap import environment
from bootstrap.environment import MANAGEMENT_IDC, Addresses
from runtime import mongo as runtime_mongo
from tests.servers import Mongod, NatsPlane, Server, free_ports, mongod, nats_plane, until

PASSWORD = "correct horse battery"
PROJECT = Path(__file__).parents[1]
FINAL = {"succeeded", "failed", "stopped"}
RUN_S = 240
SMALL = {"JOBS_RESULTS_MAX_BYTES": str(512 * 1024**2)}


@dataclass(frozen=True)
class StreamEvent:
    kind: str
    id: str
    data: Any


@dataclass
class Plane:
    folder: Path
    nats: NatsPlane
    mongo: Mongod
    http: aiohttp.ClientSession
    parts: dict[str, Server] = field(default_factory=dict)
    """Name → process: resources, config, jobs-1, jobs-2, gateway, and one per group of agents."""
    ports: dict[str, int] = field(default_factory=dict)
    token: str = ""
    _databases: dict[str, runtime_mongo.Database] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['gateway']}"

    async def start_services(self) -> None:
        names = ("resources", "config", "jobs-1", "jobs-2", "gateway")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        password = self.folder / "password"
        password.write_text(PASSWORD)
        addresses = Addresses(hub=self.nats.hub_url, relays=self.nats.leaf_urls, mongo=self.mongo.url)
        trust = self.nats.trust
        environments = {
            "resources": environment.resources(trust, addresses, self.ports["resources"])
            | {"RESOURCES_SOURCE_HOSTS": "127.0.0.1"},
            "config": environment.config(trust, addresses, self.ports["config"], depot=str(self.folder / "depot")),
            "jobs-1": environment.jobs(trust, addresses, self.ports["jobs-1"]) | SMALL,
            "jobs-2": environment.jobs(trust, addresses, self.ports["jobs-2"]) | SMALL,
            "gateway": environment.gateway(
                trust, addresses, self.ports["gateway"], password_file=str(password), depot=str(self.folder / "depot")
            ),
        }
        for name, variables in environments.items():
            self._part(name, ["-m", f"services.{name.partition('-')[0]}"], variables)
        for name in names:
            await self.ready(name)
        self.token = await self._login()

    async def add_agents(
        self, groups: Mapping[str, Sequence[tuple[str, str]]], *, state: str = "in_service", **settings: str
    ) -> None:
        """Enrol and start agents: group → (name, IDC) of the agents that share its process."""
        for group, members in groups.items():
            arguments = ["-m", "agent", "run", "--gateway", self.url]
            for name, idc in members:
                root = self.folder / "agents" / name
                (root / "etc").mkdir(parents=True)
                (root / "etc" / "hostname").write_text(name + "\n")
                joining = root / "join"
                joining.write_text(await self._join_token(idc, state))
                joining.chmod(0o600)
                arguments += ["--root", str(root), "--join-file", str(joining)]
            self._part(group, arguments, {f"DROVER_AGENT_{key.upper()}": value for key, value in settings.items()})
        wanted = {name for members in groups.values() for name, _ in members}

        async def all_online() -> bool:
            return wanted <= set(await self.hosts(online=True))

        await until(all_online, f"agents {sorted(wanted)} are online", 180)

    def _part(self, name: str, arguments: list[str], variables: dict[str, str]) -> None:
        python = [sys.executable, *arguments]
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        kept["PYTHONPATH"] = str(PROJECT / "tests" / "slow_callbacks")
        settings = ["env", "-i", *(f"{key}={value}" for key, value in {**kept, **variables}.items())]
        self.parts[name] = Server(name, [*settings, *python], self.folder / f"{name}.log", PROJECT)
        self.parts[name].start()

    async def ready(self, name: str) -> None:
        async def answers() -> bool:
            assert not self.parts[name].ended(), f"{name} ended:\n{self.parts[name].tail()}"
            return (await self.page(name, "/readyz"))[0] == 200

        await until(answers, f"{name} is ready", 120)

    async def page(self, name: str, path: str) -> tuple[int, str]:
        try:
            async with self.http.get(f"http://127.0.0.1:{self.ports[name]}{path}") as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

    async def kill(self, part: str) -> None:
        """SIGKILL, and gone."""
        if part == "mongod":
            await self.mongo.kill()
        elif part in self.nats.servers:
            await self.nats.kill(part)
        else:
            await self.parts[part].stop(9)

    async def start(self, part: str) -> None:
        """Start again what was killed, and wait until it can work."""
        if part == "mongod":
            await self.mongo.start()
        elif part in self.nats.servers:
            await self.nats.start(part)
        else:
            self.parts[part].start()
            if part in self.ports:
                await self.ready(part)

    async def api(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, *, token: str = ""
    ) -> tuple[int, Any]:
        sent = {"Authorization": f"Bearer {token or self.token}", **(headers or {})}
        async with self.http.request(method, f"{self.url}/api/v1{path}", json=body, headers=sent) as answer:
            return answer.status, msgspec.json.decode(await answer.read() or b"null")

    async def _login(self, name: str = "admin", password: str = PASSWORD) -> str:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            async with session.post(f"{self.url}/api/v1/login", json={"name": name, "password": password}) as answer:
                assert answer.status == 200, await answer.text()
            async with session.post(f"{self.url}/api/v1/tokens", json={"label": "tests"}) as answer:
                assert answer.status == 201, await answer.text()
                return (await answer.json())["secret"]

    async def person(self, name: str, roles: Iterable[str]) -> str:
        """An API token of a new person."""
        status, said = await self.api("POST", "/people", {"name": name, "password": PASSWORD, "roles": list(roles)})
        assert status == 201, said
        return await self._login(name)

    async def _join_token(self, idc: str, state: str) -> str:
        host_class = "management" if idc == MANAGEMENT_IDC else "physical"
        body = {"idc": idc, "uses": 1, "host_class": host_class, "state": state}
        status, token = await self.api("POST", "/join-tokens", body)
        assert status == 201, token
        return token["secret"]

    async def hosts(self, *, online: bool | None = None) -> dict[str, str]:
        """Host name → id."""
        query = "" if online is None else f"&online={str(online).lower()}"
        status, page = await self.api("GET", f"/hosts?limit=1000{query}")
        assert status == 200, page
        return {host["hostname"]: host["id"] for host in page["hosts"] if not host["revoked"]}

    async def run(self, script: str, targets: Mapping[str, Any], **more: Any) -> str:
        """Start a run; its id."""
        status, run = await self.api("POST", "/runs", {"script": script, "targets": targets, **more})
        assert status == 201, run
        return run["id"]

    async def show(self, run: str) -> Any:
        status, shown = await self.api("GET", f"/runs/{run}")
        assert status == 200, shown
        return shown

    async def finished(self, run: str, timeout_s: float = RUN_S) -> Any:
        """The run once it has ended."""
        shown: dict[str, Any] = {}

        async def final() -> bool:
            nonlocal shown
            status, shown = await self.api("GET", f"/runs/{run}")
            return status == 200 and shown["state"] in FINAL

        try:
            await until(final, f"run {run} ends", timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}: {shown}") from None
        return shown

    async def results(self, run: str) -> list[Any]:
        status, page = await self.api("GET", f"/runs/{run}/hosts?limit=1000&head_bytes=65536")
        assert status == 200, page
        return page["hosts"]

    async def output(self, run: str, host: str) -> str:
        """The whole output of a host, piece by piece."""
        text, offset = [], 0
        while True:
            status, piece = await self.api("GET", f"/runs/{run}/hosts/{host}/output?offset={offset}")
            assert status == 200, piece
            assert piece["offset"] == offset
            text.append(piece["text"])
            offset = piece["next_offset"]
            if offset >= piece["stored_bytes"]:
                assert piece["complete"], piece
                return "".join(text)

    async def stream(self, run: str, *, output: Sequence[str] = (), last_id: str = "") -> AsyncIterator[StreamEvent]:
        """Server-sent events, parsed."""
        headers = {"Authorization": f"Bearer {self.token}"} | ({"Last-Event-ID": last_id} if last_id else {})
        query = f"runs={run}" + (f"&output={','.join(output)}" if output else "")
        timeout = aiohttp.ClientTimeout(total=RUN_S)
        async with self.http.get(f"{self.url}/api/v1/stream?{query}", headers=headers, timeout=timeout) as answer:
            assert answer.status == 200, await answer.text()
            fields: dict[str, str] = {}
            async for raw in answer.content:
                line = raw.decode().rstrip("\n")
                if line and not line.startswith(":"):
                    name, _, value = line.partition(":")
                    fields[name] = value.removeprefix(" ")
                elif not line and "data" in fields:
                    data = msgspec.json.decode(fields["data"])
                    yield StreamEvent(fields.get("event", "message"), fields.get("id", ""), data)
                    fields = {}

    async def drover(self, *arguments: str, stdin: str = "") -> "Said":
        """The command line as a process of its own."""
        environ = {**os.environ, "DROVER_URL": self.url, "DROVER_TOKEN": self.token, "HOME": str(self.folder)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli", *arguments, cwd=PROJECT, env=environ,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), RUN_S)
        assert process.returncode is not None
        return Said(process.returncode, out.decode(), err.decode())

    def slow_callbacks(self) -> list[str]:
        """What kept an event loop busy too long, in any process."""
        logs = {name: self.folder / f"{name}.log" for name in self.parts}
        return [
            f"{name}: {line}"
            for name, log in logs.items()
            for line in log.read_text(errors="replace").splitlines()
            if line.startswith("SLOW CALLBACK")
        ]

    def database(self, service: str) -> runtime_mongo.Database:
        """Read what a service wrote, as any MongoDB client would."""
        if service not in self._databases:
            from motor.motor_asyncio import AsyncIOMotorClient

            self._databases[service] = AsyncIOMotorClient(self.mongo.url, tz_aware=True)[service]
        return self._databases[service]

    async def close(self) -> None:
        for database in self._databases.values():
            database.client.close()
        for part in reversed(self.parts.values()):
            await part.stop()
        for pid in spawners_below(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 15)


@dataclass(frozen=True)
class Said:
    returncode: int
    stdout: str
    stderr: str


def spawners_below(folder: Path) -> list[int]:
    """Spawners whose socket lies below `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if any(b"agent.spawner" in word for word in words) and any(
                word.startswith(str(folder).encode()) for word in words
            ):
                found.append(int(process.name))
    return found


@contextlib.asynccontextmanager
async def whole_plane(folder: Path) -> AsyncIterator[Plane]:
    """Servers and services; agents are added by the test."""
    async with (
        nats_plane(folder / "nats") as nats,
        mongod(folder / "mongo") as mongo,
        aiohttp.ClientSession() as http,
    ):
        plane = Plane(folder, nats, mongo, http)
        try:
            await plane.start_services()
            yield plane
        finally:
            await plane.close()
