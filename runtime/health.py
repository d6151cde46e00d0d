"""Health and metrics of a service over HTTP: /healthz (alive), /readyz (can work), /metrics (Prometheus)."""

from collections.abc import Iterator

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from runtime.bus import Bus
from runtime.mongo import Pulse

log = structlog.get_logger()


class BusMetrics(Collector):
    """The bus counts for itself, since the agent carries no Prometheus library; here its counters get their names."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("drover_bus_connected", "1 while connected", value=float(self._bus.connected))
        counter = CounterMetricFamily("drover_bus_events", "What the bus did, by kind", labels=["kind"])
        for kind, value in sorted(self._bus.counters.items()):
            counter.add_metric([kind], value)
        yield counter


def routes(registry: CollectorRegistry, bus: Bus, pulse: Pulse) -> list[web.RouteDef]:
    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        answers = {"hub": bus.connected, "database": await pulse.beats()}
        away = [name for name, answering in answers.items() if not answering]
        if away:
            return web.Response(text=f"not ready: {', '.join(away)}\n", status=503)
        return web.Response(text="ok\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)]


class HealthServer:
    """Serves the three pages of a service that has no other HTTP."""

    def __init__(self, bus: Bus, pulse: Pulse, *, host: str, port: int) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(BusMetrics(bus))
        app = web.Application()
        app.add_routes(routes(self.registry, bus, pulse))
        self._runner = web.AppRunner(app, access_log=None)
        self._host, self._port = host, port

    async def __aenter__(self) -> "HealthServer":
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        log.info("health.listening", address=str(self._runner.addresses[0]))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
