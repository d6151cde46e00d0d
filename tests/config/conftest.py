"""A config service on the real bus and database, asked by the gateway on behalf of people."""

import secrets

import pytest_asyncio
from motor.motor_asyncio import AsyncIOMotorClient

from contracts.people import Principal
from contracts.permissions import Role
from services.config.app import running
from services.config.settings import Settings
from services.gateway.app import running as gateway_running
from tests.config.fleet import Fleet
from tests.conftest import service_bus
from tests.gateway.client import Client
from tests.gateway.conftest import settings as gateway_settings

ADMIN = Principal(kind="person", name="ada", roles=(Role.ADMIN,), via="session")
OPERATOR = Principal(kind="person", name="olga", roles=(Role.OPERATOR,), via="session")
VIEWER = Principal(kind="person", name="vic", roles=(Role.VIEWER,), via="session")


@pytest_asyncio.fixture(scope="package")
async def set_up(nats, mongo):
    return Settings(
        nats_url=(nats.hub_url,),
        nats_credentials=nats.trust.credentials("config"),
        nats_ca=nats.trust.ca,
        mongo_url=mongo.url,
        mongo_database=f"config-{secrets.token_hex(4)}",
        secrets_key=nats.trust.config_at_rest_key.read_text(),
    )


@pytest_asyncio.fixture(scope="package")
async def config(set_up):
    async with running(set_up) as bus:
        yield bus


@pytest_asyncio.fixture(scope="package")
async def database(set_up, mongo):
    """What the service keeps, seen from the side."""
    client = AsyncIOMotorClient(mongo.url, tz_aware=True)
    yield client[set_up.mongo_database]
    client.close()


@pytest_asyncio.fixture(scope="package")
async def ask(nats, gateway):
    """Ask as the gateway does: `await ask(call, request, by=OPERATOR)`. There is one, for it keeps people and roles."""
    async with service_bus(nats, "gateway") as bus:

        async def asked(call, request, *, by=ADMIN):
            return await bus.call(call, request, principal=by)

        yield asked


@pytest_asyncio.fixture(scope="package")
async def neighbour(nats):
    """The resources service, with hosts and groups as a test lays them out."""
    made = Fleet()
    async with service_bus(nats, "resources") as bus:
        await bus.serve(made.endpoints())
        yield made


@pytest_asyncio.fixture
async def fleet(neighbour):
    neighbour.clear()
    return neighbour


@pytest_asyncio.fixture
async def clean(config, database, fleet):
    """No variables and no templates."""
    for name in ("variables", "variable_versions", "templates", "template_versions"):
        await database[name].delete_many({})


@pytest_asyncio.fixture(scope="package")
async def gateway(nats, mongo, config, neighbour):
    """Where HTTP reaches the service, and the token of an admin."""
    async with gateway_running(gateway_settings(nats, mongo)) as address, Client(address) as admin:
        assert (await admin.log_in()).status == 200
        yield address, (await admin.post("/tokens", {"label": "test"})).json["secret"]


@pytest_asyncio.fixture
async def http(gateway):
    address, token = gateway
    async with Client(address, token=token) as client:
        yield client
