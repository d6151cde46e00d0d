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
from contracts.names import NameKind
from runtime import log as logs
from runtime.audit import AuditStore, Trail
from runtime.audit import answers as audit_answers
from runtime.background import background
from runtime.bus import Bus, Endpoint
from runtime.bus.history import History
from runtime.bus.streams import EVENTS
from runtime.health import BusMetrics
from runtime.health import routes as health_routes
from runtime.mongo import Database, Pulse, connect, while_it_answers
from runtime.names import KeptNames, Names
from runtime.settings import BadSettings, load
from runtime.signing import Signer
from services.gateway import openapi
from services.gateway.audit.notary import Notary
from services.gateway.audit.service import AuditService
from services.gateway.audit.store import CheckpointStore
from services.gateway.depot.contents import Contents
from services.gateway.depot.looking import Looking
from services.gateway.depot.passing import Passing
from services.gateway.depot.place import Place
from services.gateway.depot.registering import Registering
from services.gateway.depot.settling import Settling
from services.gateway.depot.uploads import Uploads
from services.gateway.edge.connection import Connection
from services.gateway.edge.middleware import add_headers, surrounding
from services.gateway.edge.rates import Rates
from services.gateway.endpoints import endpoints
from services.gateway.guard import Guard
from services.gateway.identity import Identity
from services.gateway.metrics import Metrics
from services.gateway.pages import audit as audit_pages
from services.gateway.pages import depot as depot_pages
from services.gateway.pages import docs, download, host_export, live, login
from services.gateway.pages.depot import Depot
from services.gateway.people.passwords import Passwords
from services.gateway.people.people import People
from services.gateway.people.store import PeopleStore
from services.gateway.roles.roles import Roles
from services.gateway.roles.store import RoleStore
from services.gateway.routes import Routes
from services.gateway.sessions import cookie
from services.gateway.sessions.lockout import Lockout
from services.gateway.sessions.own_password import OwnPassword
from services.gateway.sessions.sessions import Sessions
from services.gateway.sessions.store import FailureStore, SessionStore
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
    roles: Roles
    sessions: Sessions
    lockout: Lockout
    own_password: OwnPassword
    tokens: Tokens
    trail: Trail
    trail_answers: list[Endpoint]
    audit: AuditService
    names: KeptNames
    notary: Notary
    pulse: Pulse
    depot: Depot | None = None
    """None: this instance has no folder for it, and passes on."""
    depot_at: str = ""


async def serve(stop: asyncio.Event) -> None:
    settings = load(Settings, "GATEWAY_")
    logs.configure(settings.log_format, service=SERVICE)
    async with running(settings):
        await stop.wait()


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[str]:
    """The gateway at work; gives its address. Raises BadSettings before anything is listened to."""
    tls, signer = settings.tls(), settings.audit_signer()
    database = await connect(settings.mongo_url, settings.mongo_database or SERVICE)
    bus = Bus.of_service(
        SERVICE,
        servers=settings.nats_url,
        credentials=settings.nats_credentials,
        ca=settings.nats_ca,
        concurrency=settings.concurrency,
    )
    try:
        parts = await _parts(settings, signer, database, bus)
        await parts.people.make_first_admin(settings.first_admin, settings.first_admin_password)
        async with bus:
            answers = [*_endpoints(parts), *parts.trail_answers]
            await bus.serve(while_it_answers(answers), auditor=parts.trail)
            history = History(bus.connection, EVENTS.name)
            await history.start()
            # Every contract is looked at, for its route and for the API document: too long for the loop.
            app = await asyncio.to_thread(application, bus, history, parts, secure=tls is not None)
            async with background("checkpoints", parts.notary.run()), _listening(app, settings, tls) as address:
                yield address
    finally:
        database.client.close()


async def _parts(settings: Settings, signer: Signer, database: Database, bus: Bus) -> Parts:
    guard = Guard(database)
    store, session_store = PeopleStore(database), SessionStore(database)
    failures, token_store = FailureStore(database), TokenStore(database)
    checkpoints, rows = CheckpointStore(database), AuditStore(database)
    role_store, lockout = RoleStore(database), Lockout(failures)
    for each in (guard, store, role_store, session_store, failures, token_store, checkpoints, rows):
        await each.prepare()
    passwords = await Passwords.with_hasher(PasswordHasher())
    people = People(store, role_store, guard, passwords)
    notary = Notary(bus, checkpoints, signer, every_s=settings.audit_checkpoint_s, file=settings.audit_file)
    return Parts(
        people=people,
        roles=Roles(role_store, store, guard, Names(bus)),
        sessions=Sessions(session_store, store, role_store, passwords, lockout),
        lockout=lockout,
        own_password=OwnPassword(people, store, session_store, passwords, lockout),
        tokens=Tokens(token_store, store, role_store),
        trail=Trail(rows, SERVICE, bus.instance),
        trail_answers=audit_answers(rows, SERVICE),
        audit=AuditService(bus, checkpoints, notary),
        names=KeptNames({NameKind.PERSON: store.names, NameKind.ROLE: role_store.names}),
        notary=notary,
        pulse=Pulse(database),
        depot=await asyncio.to_thread(_depot, settings),
        depot_at=settings.depot_at,
    )


def _depot(settings: Settings) -> Depot | None:
    """Raises BadSettings if its folder cannot be used. Blocking."""
    if settings.depot is None:
        return None
    place, most_bytes = Place(settings.depot), settings.upload_limit_bytes
    try:
        place.make()
    except OSError as error:
        raise BadSettings(f"GATEWAY_DEPOT={settings.depot} cannot be used: {error.strerror}") from None
    looking, settling = Looking(), Settling(place)
    return Depot(
        Uploads(place, looking, settling, most_bytes=most_bytes),
        Registering(place, looking, settling, settings.roots(), most_bytes=most_bytes),
        Contents(place),
        settling,
    )


def _endpoints(parts: Parts) -> list[Endpoint]:
    return endpoints(
        parts.people,
        parts.roles,
        parts.sessions,
        parts.lockout,
        parts.own_password,
        parts.tokens,
        parts.audit,
        parts.names,
    )


def application(bus: Bus, history: History, parts: Parts, *, secure: bool) -> web.Application:
    """Every route there is. Raises Undeclared if one has no declared permission."""
    metrics_registry = CollectorRegistry()
    metrics_registry.register(BusMetrics(bus))
    metrics = Metrics(metrics_registry)
    identity = Identity(parts.sessions, parts.tokens)
    streams = Streams(bus, Feed(bus, history), identity, metrics)
    stored = depot_pages.pages(bus, parts.depot) if parts.depot else depot_pages.passed_on(Passing(parts.depot_at))
    pages = [
        *login.pages(parts.sessions, parts.trail),
        *download.pages(bus),
        *host_export.pages(bus),
        *live.pages(streams),
        *stored,
        *audit_pages.pages(parts.audit),
    ]
    # A thousand hosts behind one address may enrol at once, with two or three questions each.
    routes = Routes(bus, identity, Rates(burst=3000, per_second=100), parts.trail)
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
