"""A service with a trail on the real bus and database; its handlers are the test's."""

import secrets

import pytest_asyncio
from structlog.contextvars import clear_contextvars

from contracts.people import Principal
from contracts.permissions import Role
from runtime.audit import AuditStore, Trail, answers
from runtime.bus import answer
from runtime.mongo import connect
from tests.conftest import service_bus

ADMIN = Principal(kind="person", name="ada", roles=(Role.ADMIN,), via="session", address="10.9.8.7")
VIEWER = Principal(kind="person", name="vic", roles=(Role.VIEWER,), via="token")
SERVICE = "resources"


class Rig:
    """`await rig.serve((call, handler))`, then `await rig.ask(call, request)` as the gateway asks for a person."""

    def __init__(self, bus, gateway, database):
        self.bus, self.gateway, self.database = bus, gateway, database
        self.store = AuditStore(database)
        self.trail = Trail(self.store, SERVICE, bus.instance)

    async def serve(self, *handled):
        endpoints = [answer(call, handle) for call, handle in handled]
        await self.bus.serve([*endpoints, *answers(self.store, SERVICE)], auditor=self.trail)

    async def ask(self, call, request, by=ADMIN):
        return await self.gateway.call(call, request, principal=by, timeout=20)


@pytest_asyncio.fixture
async def database(mongo):
    database = await connect(mongo.url, f"audit-{secrets.token_hex(4)}")
    await AuditStore(database).prepare()
    yield database
    await database.client.drop_database(database.name)
    database.client.close()


@pytest_asyncio.fixture
async def rig(nats, database):
    clear_contextvars()
    async with service_bus(nats, SERVICE) as bus, service_bus(nats, "gateway") as gateway:
        yield Rig(bus, gateway, database)
