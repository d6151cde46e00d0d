"""Wires the gateway together, top to bottom. The only place where its parts meet."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import structlog
from aiohttp import web
from argon2 import PasswordHasher
from prometheus_client import CollectorRegistry

from contracts import registry
from runtime import log as logs
from runtime.bus import Bus
from runtime.bus.history import History
from runtime.bus.streams import EVENTS
from runtime.health import BusMetrics
from runtime.health import routes as health_routes
from runtime.mongo import Database, Pulse, connect, while_it_answers
from runtime.settings import load
from services.gateway import openapi
from services.gateway.edge.connection import Connection
from services.gateway.edge.middleware import add_headers, surrounding
from services.gateway.edge.rates import Rates
from services.gateway.endpoints import endpoints
from services.gateway.identity import Identity
from services.gateway.metrics import Metrics
from services.gateway.pages import docs, download, live, login
from services.gateway.people.passwords import Passwords
from services.gateway.people.people import People
from services.gateway.people.store import PeopleStore
from services.gateway.routes import Routes
from services.gateway.sessions import cookie
from services.gateway.sessions.sessions import Sessions
from services.gateway.sessions.store import FailureStore, SessionStore
from services.gateway.sessions.throttle import Throttle
from services.gateway.settings import Settings
from services.gateway.stream.feed import Feed
from services.gateway.stream.viewer import Streams
from services.gateway.tokens.store import TokenStore
from services.gateway.tokens.tokens import Tokens

SERVICE = "gateway"
LARGEST_BODY = 1024 * 1024

log = structlog.get_logger()


@dataclass(frozen=True)
class Parts:
    people: People
    sessions: Sessions
    tokens: Tokens
    pulse: Pulse


async def serve(stop: asyncio.Event) -> None:
    settings = load(Settings, "GATEWAY_")
    logs.configure(settings.log_format, service=SERVICE)
    async with running(settings):
        await stop.wait()


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[str]:
    """The gateway at work; gives its address. Raises BadSettings before anything is listened to."""
    tls = settings.tls()
    database = await connect(settings.mongo_url, settings.mongo_database or SERVICE)
    try:
        parts = await _parts(database)
        await parts.people.make_first_admin(settings.first_admin, settings.first_admin_password)
        bus = Bus.of_service(
            SERVICE,
            servers=settings.nats_url,
            credentials=settings.nats_credentials,
            ca=settings.nats_ca,
            concurrency=settings.concurrency,
        )
        async with bus:
            await bus.serve(while_it_answers(endpoints(parts.people, parts.tokens)))
            history = History(bus.connection, EVENTS.name)
            await history.start()
            async with _listening(application(bus, history, parts, secure=tls is not None), settings, tls) as address:
                yield address
    finally:
        database.client.close()


async def _parts(database: Database) -> Parts:
    people, sessions, failures, tokens = (
        PeopleStore(database),
        SessionStore(database),
        FailureStore(database),
        TokenStore(database),
    )
    for store in (people, sessions, failures, tokens):
        await store.prepare()
    passwords = await Passwords.with_hasher(PasswordHasher())
    return Parts(
        People(people, passwords),
        Sessions(sessions, people, passwords, Throttle(failures)),
        Tokens(tokens, people),
        Pulse(database),
    )


def application(bus: Bus, history: History, parts: Parts, *, secure: bool) -> web.Application:
    """Every route there is. Raises Undeclared if one has no declared permission."""
    metrics_registry = CollectorRegistry()
    metrics_registry.register(BusMetrics(bus))
    metrics = Metrics(metrics_registry)
    identity = Identity(parts.sessions, parts.tokens)
    streams = Streams(bus, Feed(bus, history), identity, metrics)
    pages = [*login.pages(parts.sessions), *download.pages(bus), *live.pages(streams)]
    # A thousand hosts behind one address may enrol at once, with two or three questions each.
    routes = Routes(bus, identity, Rates(burst=3000, per_second=100))
    document = openapi.document(
        registry.calls(), pages, version=_version(), cookie=cookie.SECURE if secure else cookie.PLAIN
    )
    app = web.Application(middlewares=[surrounding(metrics)], client_max_size=LARGEST_BODY)
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(streams.close)
    app.add_routes(routes.of_calls())
    app.add_routes(routes.of_pages(pages))
    app.add_routes(docs.routes(document))
    app.add_routes(health_routes(metrics_registry, bus, parts.pulse))
    return app


@contextlib.asynccontextmanager
async def _listening(app: web.Application, settings: Settings, tls: ssl.SSLContext | None) -> AsyncIterator[str]:
    # aiohttp would write a traceback for every line of nonsense that arrives; what is a request is logged by us.
    silent = logging.Logger("aiohttp", level=logging.CRITICAL)
    runner = web.AppRunner(app, access_log=None, logger=silent, shutdown_timeout=10)
    await runner.setup()
    try:
        loop, manager = asyncio.get_running_loop(), runner.server
        if manager is None:
            raise RuntimeError("the runner is set up and has no server")
        server = await loop.create_server(
            lambda: Connection(manager, loop=loop, access_log=silent, logger=silent),
            settings.http_host,
            settings.http_port,
            ssl=tls,
        )
        host, port = server.sockets[0].getsockname()[:2]
        address = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
        log.info("gateway.listening", address=address)
        try:
            yield address
        finally:
            server.close()
    finally:
        await runner.cleanup()


def _version() -> str:
    try:
        return version("drover")
    except PackageNotFoundError:
        return "0.0.0"
