"""An installation of its own for a measurement: servers, services and an admin, on free ports of the loopback."""

import asyncio
import contextlib
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.read_concern import ReadConcern

from bench.running import Workplace
from bootstrap import environment
from bootstrap.environment import Addresses
from bootstrap.servers import Mongod, NatsPlane, NotReady, Server, free_ports, mongod, nats_plane, until

IDCS = ("js", "bj")
SERVICES = ("resources", "config", "jobs-1", "jobs-2", "gateway")
PROJECT = Path(__file__).parents[1]
READY_S = 60
KEPT_VARIABLES = ("PATH", "HOME", "LANG")

Database = Any


@dataclass
class Installation:
    place: Workplace
    nats: NatsPlane
    mongo: Mongod
    http: aiohttp.ClientSession
    services: dict[str, Server] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    _client: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['gateway']}"

    def database(self, service: str) -> Database:
        """What a service wrote and cannot lose any more."""
        if self._client is None:
            self._client = AsyncIOMotorClient(self.mongo.url, tz_aware=True)
        return self._client.get_database(service, read_concern=ReadConcern("majority"))

    def parts(self) -> dict[str, list[int]]:
        """Part → processes, for the CPU it uses."""
        servers = {"hub": ["hub"], "leaves": [name for name in self.nats.servers if name != "hub"]}
        found = {part: [self.nats.servers[name].pid for name in names] for part, names in servers.items()}
        found["mongod"] = [self.mongo.server.pid]
        for name, server in self.services.items():
            found.setdefault(name.partition("-")[0], []).append(server.pid)
        return found

    async def start_services(self, names: tuple[str, ...], more: Mapping[str, str]) -> None:
        trust, password = self.nats.trust, secrets.token_urlsafe(12)
        password_file = self.place.disk / "password"
        password_file.write_text(password)
        addresses = Addresses(hub=self.nats.hub_url, relays=self.nats.leaf_urls, mongo=self.mongo.url)
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        for name, port in self.ports.items():
            service = name.partition("-")[0]
            if service == "gateway":
                settings = environment.gateway(trust, addresses, port, password_file=str(password_file))
            else:
                settings = getattr(environment, service)(trust, addresses, port)
            self._start(
                name, service, {**settings, **{key: more[key] for key in more if key.startswith(service.upper())}}
            )
        for name in names:
            await self._ready(name)
        if "gateway" in names:
            await self._login(password)

    def _start(self, name: str, service: str, settings: Mapping[str, str]) -> None:
        kept = {variable: os.environ[variable] for variable in KEPT_VARIABLES if variable in os.environ}
        command = [sys.executable, "-m", f"services.{service}"]
        self.services[name] = Server(name, command, self.place.disk / f"{name}.log", PROJECT, {**kept, **settings})
        self.services[name].start()

    async def start(self, name: str) -> None:
        """Start a service again that was stopped, and wait until runs can be asked for."""
        self.services[name].start()
        await self._ready(name)

        async def answers() -> bool:
            async with self.http.get(f"{self.url}/api/v1/runs") as answer:
                return answer.status == 200

        await until(answers, f"{name} answers", READY_S)

    async def stop(self, name: str) -> None:
        await self.services[name].stop()

    async def _ready(self, name: str) -> None:
        server = self.services[name]

        async def answers() -> bool:
            if server.ended():
                raise NotReady(f"{name} ended:\n{server.tail()}")
            with contextlib.suppress(aiohttp.ClientError):
                async with self.http.get(f"http://127.0.0.1:{self.ports[name]}/readyz") as answer:
                    return answer.status == 200
            return False

        try:
            await until(answers, f"{name} is ready", READY_S)
        except NotReady as error:
            raise NotReady(f"{error}\n{server.tail()}") from None

    async def _login(self, password: str) -> None:
        """As programs do: the password once, then a token."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            await _post(browser, f"{self.url}/api/v1/login", {"name": "admin", "password": password})
            token = await _post(browser, f"{self.url}/api/v1/tokens", {"label": "bench"})
        self.http.headers["Authorization"] = f"Bearer {token['secret']}"

    async def start_run(self, script: str, **more: Any) -> str:
        """POST /runs for all hosts; the run's id."""
        body = {"script": script, "targets": {"all": True}, **more}
        run = await _post(self.http, f"{self.url}/api/v1/runs", body)
        return str(run["id"])

    async def run_ended(self, run: str, timeout_s: float) -> None:
        """Looks into the database: asking the API would be work for what is measured."""
        runs = self.database("jobs")["runs"]

        async def ended() -> bool:
            await asyncio.sleep(0.1)
            return await runs.find_one({"_id": run, "ended_at": {"$ne": None}}, {"_id": 1}) is not None

        await until(ended, f"run {run} is closed", timeout_s)

    async def close(self) -> None:
        if self._client is not None:
            self._client.close()
        await asyncio.gather(*(server.stop() for server in self.services.values()))


async def _post(http: aiohttp.ClientSession, url: str, body: Mapping[str, Any]) -> dict[str, Any]:
    async with http.post(url, json=body) as answer:
        if answer.status >= 300:
            raise NotReady(f"POST {url}: {answer.status} {await answer.text()}")
        said: dict[str, Any] = await answer.json()
        return said


@contextlib.asynccontextmanager
async def installation(
    place: Workplace, services: tuple[str, ...] = SERVICES, **settings: str
) -> AsyncIterator[Installation]:
    """Running until the block is left, with these services (`jobs-1` and `jobs-2` are two instances of one).

    `settings` are variables for the services, such as JOBS_LEASE_S.
    """
    async with (
        nats_plane(place.disk / "nats", IDCS) as nats,
        mongod(place.disk / "mongo") as mongo,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http,
    ):
        made = Installation(place, nats, mongo, http)
        try:
            await made.start_services(services, settings)
            yield made
        finally:
            await made.close()
