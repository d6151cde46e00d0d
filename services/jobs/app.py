"""Wires the jobs service together, top to bottom. The only place where its parts meet."""

import asyncio
import hashlib
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from contracts.agents import GRANT_CONTEXT
from runtime import log
from runtime.audit import AuditStore, Trail
from runtime.audit import answers as audit_answers
from runtime.background import background
from runtime.bus import Bus
from runtime.health import HealthServer
from runtime.mongo import Database, Pulse, connect, while_it_answers
from runtime.settings import load
from runtime.signing import Box, Signer
from services.jobs.dispatch.bodies import BodyDesk
from services.jobs.dispatch.conductors import Conductors
from services.jobs.dispatch.grants import Grants
from services.jobs.dispatch.part import Patience
from services.jobs.dispatch.receipts import Receipts
from services.jobs.dispatch.strays import Strays
from services.jobs.dispatch.ticker import Ticker
from services.jobs.dispatch.tools import Tools
from services.jobs.endpoints import endpoints
from services.jobs.leases.keeper import LeaseKeeper
from services.jobs.leases.store import LeaseStore
from services.jobs.metrics import JobsMetrics
from services.jobs.output.service import OutputService
from services.jobs.output.store import OutputStore
from services.jobs.results.ingest import Ingest
from services.jobs.results.service import ResultService
from services.jobs.results.settling import Settler
from services.jobs.results.store import OutcomeStore
from services.jobs.results.stored import Telling
from services.jobs.runs.service import RunService
from services.jobs.runs.store import RunStore
from services.jobs.runs.values import ValueStore
from services.jobs.settings import Settings
from services.jobs.waves import WaveIndex

NAME = "jobs"
logger = structlog.get_logger()


async def serve(stop: asyncio.Event) -> None:
    settings = load(Settings, "JOBS_")
    log.configure(settings.log_format, service=NAME)
    database = await connect(settings.mongo_url, settings.mongo_database or NAME)
    bus = Bus.of_service(
        NAME,
        servers=settings.nats_url,
        credentials=settings.nats_credentials,
        ca=settings.nats_ca,
        concurrency=settings.concurrency,
    )
    async with bus:
        await work(settings, bus, database, stop)


@dataclass(frozen=True)
class Stores:
    audit: AuditStore
    runs: RunStore
    outcomes: OutcomeStore
    output: OutputStore
    leases: LeaseStore
    values: ValueStore


async def work(settings: Settings, bus: Bus, database: Database, stop: asyncio.Event) -> None:
    """Everything on a connected bus and database, until `stop`; then in the opposite order to an end."""
    stores = await _stores(database)
    receipts = Receipts(settings.key("signing_seed"))
    tools = _tools(settings, bus, stores, receipts)
    waves = WaveIndex(stores.runs)
    settler = Settler(bus, stores.runs, stores.outcomes, waves)
    strays = Strays(bus, tools.grants, stores.runs)
    conductors = Conductors(tools, waves, settler, strays)
    telling = Telling(bus, tools.grants, receipts)
    ingest = Ingest(
        bus=bus,
        runs=stores.runs,
        outcomes=stores.outcomes,
        output=stores.output,
        waves=waves,
        telling=telling,
        hearing=conductors,
        settling=settler,
        max_bytes=settings.results_max_bytes,
        counters=tools.counters,
    )
    health = HealthServer(bus, Pulse(database), host=settings.http_host, port=settings.http_port)
    health.registry.register(JobsMetrics(tools.counters, lambda: conductors.held))
    content_key = hashlib.blake2b(b"drover/idempotency", key=settings.key("secrets_key")).digest()
    table = endpoints(
        RunService(bus, stores.runs, conductors, stores.outcomes.facts, tools.box, content_key),
        ResultService(stores.runs, stores.outcomes, waves, conductors),
        OutputService(stores.runs, stores.outcomes, stores.output, waves),
        BodyDesk(stores.runs, waves),
    )
    keeper = LeaseKeeper(bus.instance, settings.lease_s, stores.leases, stores.runs, conductors.look)
    async with AsyncExitStack() as stack:
        beside = background("beside requests", tools.ticker.run(), settler.run(), strays.run(), telling.run())
        for part in (health, beside, conductors, ingest, keeper.holding()):
            await stack.enter_async_context(part)
        table += while_it_answers(audit_answers(stores.audit, NAME))
        await bus.serve(table, auditor=Trail(stores.audit, NAME, bus.instance))
        logger.info("jobs.serving", instance=bus.instance)
        await stop.wait()


async def _stores(database: Database) -> Stores:
    stores = Stores(
        AuditStore(database),
        RunStore(database),
        OutcomeStore(database),
        OutputStore(database),
        LeaseStore(database),
        ValueStore(database),
    )
    for store in (stores.audit, stores.runs, stores.outcomes, stores.output, stores.leases, stores.values):
        await store.prepare()
    return stores


def _tools(settings: Settings, bus: Bus, stores: Stores, receipts: Receipts) -> Tools:
    patience = Patience(
        silence_s=settings.silence_s,
        start_margin_s=settings.start_margin_s,
        clock_skew_s=settings.clock_skew_s,
    )
    return Tools(
        bus=bus,
        runs=stores.runs,
        outcomes=stores.outcomes,
        values=stores.values,
        grants=Grants(Signer(settings.key("signing_seed"), GRANT_CONTEXT), bus.instance, receipts),
        box=Box(settings.key("secrets_key")),
        ticker=Ticker(),
        patience=patience,
        counters=Counter(),
    )
