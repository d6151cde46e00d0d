"""Wires the config service together, top to bottom. The only place where its parts meet."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from contracts.names import NameKind
from runtime import log as logs
from runtime.audit import AuditStore, Trail
from runtime.audit import answers as audit_answers
from runtime.bus import AgentEndpoint, Bus, Endpoint
from runtime.health import HealthServer
from runtime.mongo import Database, Pulse, connect, while_it_answers
from runtime.names import KeptNames, Names
from runtime.settings import load
from runtime.signing import Box
from services.config.accounts.service import AccountService
from services.config.accounts.store import AccountStore
from services.config.endpoints import endpoints, name_endpoints, script_endpoints
from services.config.files.service import FileService
from services.config.files.store import FileStore
from services.config.memberships import Memberships
from services.config.naming import Naming
from services.config.scripts.checking import Checker, shellcheck
from services.config.scripts.processes import Processes
from services.config.scripts.reading import ScriptReading
from services.config.scripts.service import ScriptService
from services.config.scripts.shipped import Shipped
from services.config.scripts.store import ScriptStore
from services.config.settings import Settings
from services.config.templates.previews import PreviewService
from services.config.templates.rendering import Renderer
from services.config.templates.service import TemplateService
from services.config.templates.store import TemplateStore
from services.config.variables.blast import BlastService
from services.config.variables.effective import EffectiveService
from services.config.variables.service import VariableService
from services.config.variables.store import VariableStore

NAME = "config"
DATABASE = "configuration"
"""`config` is a database of MongoDB's own, in which no transaction may write."""

log = structlog.get_logger()


class Stores:
    def __init__(self, database: Database, box: Box) -> None:
        self.accounts = AccountStore(database)
        self.audit = AuditStore(database)
        self.files = FileStore(database)
        self.scripts = ScriptStore(database)
        self.variables = VariableStore(database, box)
        self.templates = TemplateStore(database)

    async def prepare(self) -> None:
        for each in (self.accounts, self.audit, self.files, self.scripts, self.variables, self.templates):
            await each.prepare()


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Bus]:
    """One instance of the service, from the first answer to the last."""
    bus = Bus.of_service(
        NAME,
        servers=settings.nats_url,
        credentials=settings.nats_credentials,
        ca=settings.nats_ca,
        concurrency=settings.concurrency,
    )
    async with _database(settings) as database:
        stores = Stores(database, settings.box)
        await stores.prepare()
        health = HealthServer(bus, Pulse(database), host=settings.http_host, port=settings.http_port)
        async with Renderer() as renderer, bus, health:
            processes = Processes()
            checker = Checker(processes, shellcheck())
            await Shipped(stores.scripts, checker).ship()
            reading = ScriptReading(stores.scripts, checker, processes)
            script = ScriptService(stores.scripts, reading, checker, settings.depot)
            template = TemplateService(stores.templates, renderer, settings.depot)
            for each in (script, template):
                await each.lay_out_missing()
            answers = [
                *_answers(stores, bus, renderer, template),
                *name_endpoints(
                    Naming(stores.accounts, stores.variables), KeptNames({NameKind.ACCOUNT: stores.accounts.names})
                ),
                *script_endpoints(script, reading),
                *audit_answers(stores.audit, NAME),
            ]
            await bus.serve(while_it_answers(answers), auditor=Trail(stores.audit, NAME, bus.instance))
            log.info("config.serving", instance=bus.instance)
            yield bus


def _answers(
    stores: Stores, bus: Bus, renderer: Renderer, templates: TemplateService
) -> list[Endpoint | AgentEndpoint]:
    memberships = Memberships(bus)
    variables = VariableService(stores.variables, memberships)
    effective = EffectiveService(stores.variables, memberships)
    return endpoints(
        AccountService(stores.accounts, Names(bus)),
        FileService(stores.files),
        variables,
        effective,
        BlastService(variables, effective, memberships, stores.templates),
        templates,
        PreviewService(templates, effective, renderer),
    )


@contextlib.asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    database = await connect(settings.mongo_url, settings.mongo_database or DATABASE)
    try:
        yield database
    finally:
        database.client.close()


async def serve(stop: asyncio.Event) -> None:
    settings = load(Settings, prefix="CONFIG_")
    logs.configure(settings.log_format, service=NAME)
    async with running(settings):
        await stop.wait()
