"""Wires the resources service together, top to bottom. The only place where its parts meet."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

import structlog

from contracts import subjects
from contracts.errors import Unavailable
from contracts.names import NameKind
from runtime import log as logs
from runtime import nats_jwt
from runtime.audit import AuditStore, Trail
from runtime.audit import answers as audit_answers
from runtime.bus import AgentEndpoint, Bus, Connection, Endpoint, Options
from runtime.bus.streams import EVENTS, ensure_stream
from runtime.health import HealthServer
from runtime.mongo import Database, Pulse, connect, while_it_answers
from runtime.names import KeptNames, Names
from runtime.nats_jwt import BadKey, BadToken, Key
from runtime.settings import BadSettings, load
from runtime.signing import Box
from services.resources.attributes.service import AttributeService
from services.resources.attributes.store import AttributeStore
from services.resources.collectors.following import CollectionFollower
from services.resources.collectors.service import CollectorService
from services.resources.collectors.store import CollectorStore
from services.resources.collectors.worker import CollectorWorker
from services.resources.endpoints import UseCases, endpoints
from services.resources.enrolment.credentials import Credentials
from services.resources.enrolment.service import EnrolmentService, Told
from services.resources.enrolment.store import AdmissionStore, ChallengeStore
from services.resources.groups.members import MemberStore
from services.resources.groups.membership import MembershipService
from services.resources.groups.reader import GroupReader
from services.resources.groups.service import GroupService
from services.resources.groups.store import GroupStore
from services.resources.history.service import HistoryService
from services.resources.history.store import HistoryStore
from services.resources.hosts.bulk import BulkService
from services.resources.hosts.editing import HostEditor
from services.resources.hosts.service import HostService
from services.resources.hosts.store import HostStore
from services.resources.imports import comparing
from services.resources.imports.service import ImportService
from services.resources.imports.store import ImportStore
from services.resources.imports.worker import ImportWorker
from services.resources.inits.service import InitService
from services.resources.inits.store import InitStore
from services.resources.inits.worker import InitWorker
from services.resources.integrations.service import IntegrationIssuer, IntegrationService
from services.resources.integrations.store import IntegrationStore
from services.resources.join_tokens.service import JoinTokenService
from services.resources.join_tokens.store import JoinTokenStore
from services.resources.leases import LeaseStore
from services.resources.naming import Naming
from services.resources.presence.store import PresenceStore
from services.resources.presence.watch import PresenceWatch
from services.resources.revocations.announcer import Announcer
from services.resources.revocations.ending import Ending
from services.resources.revocations.service import RevocationService
from services.resources.revocations.store import RevocationStore
from services.resources.settings import Settings, command_keys, relays, secrets_key
from services.resources.sources.service import SourceService
from services.resources.sources.store import SourceStore
from services.resources.targets.service import TargetService
from services.resources.targets.store import TargetStore
from services.resources.topology.service import TopologyService
from services.resources.topology.store import PlaceStore
from services.resources.virtual.service import VirtualService
from services.resources.virtual.store import VirtualStore

log = structlog.get_logger()

NAME = "resources"
MISSED_BEATS = 3
"""A host that missed so many heartbeats is offline."""


@dataclass(frozen=True)
class Trust:
    """The keys of the settings, read and checked."""

    agents: Key
    integrations: Key
    operator: Key
    account: str
    account_made: int

    @classmethod
    def of(cls, settings: Settings) -> "Trust":
        """Raises BadSettings."""
        try:
            claims = nats_jwt.read(settings.account_jwt)
            return cls(
                agents=Key(settings.agent_signing_seed),
                integrations=Key(settings.integration_signing_seed),
                operator=Key(settings.operator_signing_seed),
                account=claims["sub"],
                account_made=claims["iat"],
            )
        except (BadKey, BadToken) as error:
            raise BadSettings(f"RESOURCES_*_SEED and RESOURCES_ACCOUNT_JWT: {error}") from None


class Stores:
    def __init__(self, database: Database, *, window_s: float, idcs: Collection[str]) -> None:
        self.audit = AuditStore(database)
        self.hosts = HostStore(database)
        self.targets = TargetStore(database)
        self.members = MemberStore(database)
        self.tokens = JoinTokenStore(database)
        self.challenges = ChallengeStore(database)
        self.revocations = RevocationStore(database)
        self.history = HistoryStore(database)
        self.places = PlaceStore(database)
        self.attributes = AttributeStore(database)
        self.groups = GroupStore(database, self.places, self.attributes)
        self.editor = HostEditor(database, self.hosts, self.history, self.places, self.attributes)
        self.imports = ImportStore(database)
        self.sources = SourceStore(database)
        self.virtual = VirtualStore(database)
        self.collectors = CollectorStore(database)
        self.inits = InitStore(database)
        self.ending = Ending(database, self.hosts, self.revocations, self.history)
        self.integrations = IntegrationStore(database, self.revocations)
        self.presence = PresenceStore(database, rewrite_s=window_s / MISSED_BEATS / 2)
        self.admissions = AdmissionStore(
            database,
            self.hosts,
            self.challenges,
            self.tokens,
            self.revocations,
            self.ending,
            self.history,
            idcs=idcs,
        )
        self.names = KeptNames(
            {
                NameKind.GROUP: self.groups.names,
                NameKind.BUSINESS: self.places.businesses,
                NameKind.INTEGRATION: self.integrations.names,
            }
        )
        self.idcs = idcs
        self.importing = comparing.Stores(self.imports, self.places, self.attributes, self.editor, self.virtual)

    async def prepare(self) -> None:
        rooms = (
            *(self.audit, self.hosts, self.history, self.imports, self.sources, self.virtual, self.inits, self.groups),
            *(self.tokens, self.challenges, self.revocations, self.integrations, self.collectors),
        )
        for each in rooms:
            await each.prepare()
        await self.places.prepare(self.idcs)


@dataclass(frozen=True)
class Following:
    """What goes on after a call was answered."""

    imports: ImportWorker
    inits: InitService


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Bus]:
    """One instance of the service, from the first answer to the last."""
    trust = Trust.of(settings)
    told = Told(settings.ca, command_keys(settings), relays(settings))
    window_s = MISSED_BEATS * settings.heartbeat_s
    bus = Bus.of_service(
        NAME,
        servers=settings.nats_url,
        credentials=settings.nats_credentials,
        ca=settings.nats_ca,
        concurrency=settings.concurrency,
    )
    async with _database(settings) as database:
        stores = Stores(database, window_s=window_s, idcs=told.relays)
        await stores.prepare()
        await stores.revocations.offer_account(settings.account_jwt, trust.account_made)
        announcer = Announcer(stores.revocations, _system_connection(settings), trust.operator)
        worker = ImportWorker(stores.importing, LeaseStore(database, bus.instance), bus)
        groups = GroupReader(stores.groups, stores.members, window_s=window_s)
        inits = InitService(stores.inits, stores.hosts, groups, stores.editor, stores.history, bus)
        answers = _answers(settings, trust, told, stores, announcer, bus, Following(worker, inits))
        async with (
            announcer,
            bus,
            worker,
            InitWorker(inits, LeaseStore(database, bus.instance), bus),
            CollectorWorker(
                CollectionFollower(stores.collectors, stores.virtual, bus), LeaseStore(database, bus.instance)
            ),
            PresenceWatch(stores.presence, bus, window_s=window_s),
            HealthServer(bus, Pulse(database), host=settings.http_host, port=settings.http_port),
        ):
            await _ensure_events(bus)
            answers += audit_answers(stores.audit, NAME)
            await bus.serve(
                while_it_answers(answers),
                auditor=Trail(stores.audit, NAME, bus.instance),
                scopes_of=stores.integrations.scopes_of,
            )
            log.info("resources.serving", instance=bus.instance)
            yield bus


def _answers(
    settings: Settings, trust: Trust, told: Told, stores: Stores, announcer: Announcer, bus: Bus, following: Following
) -> list[Endpoint | AgentEndpoint]:
    worker = following.imports
    credentials = Credentials(trust.agents, trust.account, settings.credentials_lifetime_s)
    issuer = IntegrationIssuer(trust.integrations, trust.account, settings.public_nats, settings.ca)
    window_s = MISSED_BEATS * settings.heartbeat_s
    sources = SourceService(
        stores.sources,
        stores.imports,
        stores.virtual,
        Box(secrets_key(settings)),
        worker.wake,
        allowed=settings.source_hosts,
    )
    worker.asks(sources)
    groups, names = GroupReader(stores.groups, stores.members, window_s=window_s), Names(bus)
    targets = TargetService(stores.targets, groups, window_s=window_s)
    return endpoints(
        UseCases(
            host=HostService(stores.hosts, stores.history, groups, stores.editor, bus, window_s=window_s),
            bulk=BulkService(stores.hosts, groups, stores.editor, bus),
            history=HistoryService(stores.history, stores.hosts, groups),
            places=TopologyService(stores.places, stores.groups, groups, names, idcs=told.relays),
            attributes=AttributeService(stores.attributes, stores.groups),
            imports=ImportService(stores.imports, worker.wake),
            sources=sources,
            inits=following.inits,
            virtual=VirtualService(stores.virtual, stores.hosts, groups, stores.collectors),
            collectors=CollectorService(stores.collectors, stores.virtual, targets, groups, bus),
            group=GroupService(stores.groups, stores.members, groups, names),
            membership=MembershipService(stores.members, groups),
            targets=targets,
            tokens=JoinTokenService(stores.tokens, stores.places, idcs=told.relays),
            enrolment=EnrolmentService(
                stores.challenges, stores.admissions, stores.hosts, credentials, announcer, bus, told
            ),
            revocation=RevocationService(stores.hosts, groups, stores.ending, announcer, bus),
            integrations=IntegrationService(stores.integrations, issuer, announcer, names),
            names=stores.names,
            naming=Naming(stores.integrations, stores.collectors),
        )
    )


@contextlib.asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    database = await connect(settings.mongo_url, settings.mongo_database or NAME)
    try:
        yield database
    finally:
        database.client.close()


def _system_connection(settings: Settings) -> Connection:
    return Connection(
        Options(
            name=f"{NAME}-claims",
            servers=settings.nats_url,
            credentials=settings.sys_credentials,
            ca=settings.nats_ca,
            inbox=subjects.inbox(NAME),
        )
    )


async def _ensure_events(bus: Bus) -> None:
    while True:
        try:
            return await ensure_stream(bus.connection, EVENTS)
        except Unavailable as error:
            # A hub that starts serves clients a moment before its streams.
            log.warning("events.waiting", error=error.message)
            await asyncio.sleep(1)


async def serve(stop: asyncio.Event) -> None:
    settings = load(Settings, prefix="RESOURCES_")
    logs.configure(settings.log_format, service=NAME)
    async with running(settings):
        await stop.wait()
