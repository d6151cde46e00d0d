"""The real servers, as processes of whoever asks: a hub with its leaves, and a mongod, on free ports below one folder.

For tests and measurements, which start them, kill them and want nothing left behind; `make run` has honcho for that.
"""

import asyncio
import contextlib
import random
import signal
import socket
import subprocess
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bootstrap import mongo, nats_config, trust
from bootstrap.nats_config import Hub, Leaf
from bootstrap.trust import Trust

READY_S = 90
"""Only what never comes waits so long; a machine that stands still for ten seconds must not count as that."""


class NotReady(Exception):
    """What was waited for did not come; the message says what it was."""


async def until(probe: Callable[[], bool | Awaitable[bool]], what: str, timeout_s: float = READY_S) -> None:
    """Ask `probe` until it is true, and raise NotReady with `what` when it never is."""
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                answer = probe()
                if answer is True or (not isinstance(answer, bool) and await answer):
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise NotReady(f"{what}: not within {timeout_s} s") from None


def free_ports(count: int) -> list[int]:
    """Ports that nobody has, and that the kernel gives to no outgoing connection: while a server is down, the next
    client that connects to anything might else be given its port, and the server could not come back."""
    lowest, highest = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    candidates = [port for port in range(10_000, 65_536) if not lowest <= port <= highest] or [0] * count
    random.shuffle(candidates)
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < count:
            each = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                each.bind(("127.0.0.1", candidates.pop()))
                ports.append(each.getsockname()[1])
        return ports


class Server:
    """One server process that can be killed and started again on the same port and folder."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        directory: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._command = command
        self._log = log
        self._directory = directory
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise NotReady(f"{self.name} is not running")
        return self._process.pid

    def start(self) -> None:
        if self._process is not None:
            raise RuntimeError(f"{self.name} runs already")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self._directory,
                env=self._environ,
            )

    async def stop(self, number: int = signal.SIGTERM) -> None:
        """Send the signal and wait for the end. A server that is not running stays so."""
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            await until(self.ended, f"{self.name} ends upon signal {number}")
        finally:
            if not self.ended():
                self._process.kill()
            self._process.wait()
            self._process = None

    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def tail(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]


@dataclass
class NatsPlane:
    """Hub and leaves with TLS and every account, key and credentials file, as `bootstrap` makes them."""

    trust: Trust
    hub_url: str
    leaf_urls: dict[str, str]
    """IDC → address for its agents."""
    monitors: dict[str, str]
    """`hub` or `leaf-<idc>` → address of its monitoring pages."""
    servers: dict[str, Server] = field(default_factory=dict)

    async def start(self, name: str) -> None:
        """Start `hub` or `leaf-<idc>` and wait until it serves; a leaf serves before its hub is there."""
        server = self.servers[name]
        server.start()
        await self._wait(name, lambda: self.monitor(name, "healthz?js-server-only=1").get("status") == "ok")

    async def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        await self.servers[name].stop(number)

    async def joined(self, idc: str) -> None:
        """Wait until the leaf is connected to the hub for the work and for the servers' own talk."""
        name = f"leaf-{idc}"
        await self._wait(name, lambda: self.monitor(name, "leafz").get("leafnodes") == 2)

    def monitor(self, name: str, page: str) -> dict[str, Any]:
        """A monitoring page, or nothing while the server does not answer."""
        try:
            with urllib.request.urlopen(f"{self.monitors[name]}/{page}", timeout=5) as answer:  # noqa: S310  our own server
                return msgspec.json.decode(answer.read(), type=dict[str, Any])
        except OSError:
            return {}

    async def _wait(self, name: str, probe: Callable[[], bool]) -> None:
        server = self.servers[name]
        try:
            await until(lambda: server.ended() or probe(), f"{name} is ready")
        except NotReady as error:
            raise NotReady(f"{error}\n{server.tail()}") from None
        if server.ended():
            raise NotReady(f"{name} ended:\n{server.tail()}")


def _configured(folder: Path, idcs: Sequence[str], resolver_interval_s: int) -> NatsPlane:
    folder.mkdir(parents=True, exist_ok=True)
    material = trust.prepare(folder / "trust", idcs)
    port, leaf_port, monitor, *rest = free_ports(3 + 2 * len(idcs))
    hub = Hub(host="127.0.0.1", port=port, leaf_port=leaf_port, monitor_port=monitor)
    address = "tls://127.0.0.1:{}"
    plane = NatsPlane(material, address.format(port), {}, {"hub": f"http://127.0.0.1:{monitor}"})
    interval = resolver_interval_s
    files = {"hub": nats_config.write_hub(folder, material, hub, resolver_interval_s=interval)}
    for idc, port, monitor in zip(idcs, rest[::2], rest[1::2], strict=True):
        leaf = Leaf(idc, (f"127.0.0.1:{hub.leaf_port}",), "127.0.0.1", port, monitor)
        files[leaf.name] = nats_config.write_leaf(folder, material, leaf, resolver_interval_s=interval)
        plane.leaf_urls[idc] = address.format(port)
        plane.monitors[leaf.name] = f"http://127.0.0.1:{monitor}"
    program = str(nats_config.program())
    plane.servers = {
        name: Server(name, [program, "-c", str(file)], folder / f"{name}.log") for name, file in files.items()
    }
    return plane


@contextlib.asynccontextmanager
async def nats_plane(
    folder: Path, idcs: Sequence[str] = ("js", "bj"), *, resolver_interval_s: int = 2
) -> AsyncIterator[NatsPlane]:
    """A running hub with a joined leaf for each IDC; everything below `folder`."""
    plane = _configured(folder, idcs, resolver_interval_s)
    try:
        for name in plane.servers:
            await plane.start(name)
        for idc in idcs:
            await plane.joined(idc)
        yield plane
    finally:
        for server in plane.servers.values():
            await server.stop()


@dataclass
class Mongod:
    url: str
    server: Server

    async def start(self) -> None:
        """Start it again after a kill, and wait until it takes writes."""
        self.server.start()
        await asyncio.to_thread(mongo.initiate, _port(self.url))

    async def kill(self, number: int = signal.SIGKILL) -> None:
        await self.server.stop(number)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _port(url: str) -> int:
    return int(url.rpartition("/")[0].rpartition(":")[2])


@contextlib.asynccontextmanager
async def mongod(folder: Path) -> AsyncIterator[Mongod]:
    """A running replica set of one node, journalled, with its data below `folder`."""
    [port] = free_ports(1)
    server = Server("mongod", mongo.command(_folder(folder / "mongo"), port), folder / "mongod.log")
    running = Mongod(mongo.url(port), server)
    try:
        await running.start()
        yield running
    finally:
        await server.stop()
