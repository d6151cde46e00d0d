"""Two instances of the service on the real servers, as they run in production, and people who ask them."""

import contextlib
import secrets

import pytest_asyncio

from bootstrap import environment
from bootstrap.environment import Addresses
from runtime.mongo import connect
from runtime.settings import load
from services.resources.app import running
from services.resources.settings import Settings
from tests.conftest import service_bus
from tests.resources.people import Asker

HEARTBEAT_S = 1.2


def settings(nats, mongo_url, database, **more):
    addresses = Addresses(hub=nats.hub_url, relays=nats.leaf_urls, mongo=mongo_url)
    environ = environment.resources(nats.trust, addresses, 0) | {"RESOURCES_MONGO_DATABASE": database}
    return load(Settings, "RESOURCES_", environ | {f"RESOURCES_{name.upper()}": str(v) for name, v in more.items()})


@contextlib.asynccontextmanager
async def service(nats, mongo_url, *, instances=2, **more):
    """The service on a database of its own, which is dropped in the end."""
    name = f"resources-{secrets.token_hex(4)}"
    database = await connect(mongo_url, name)
    try:
        async with contextlib.AsyncExitStack() as stack:
            asked = settings(nats, mongo_url, name, **more)
            services = [await stack.enter_async_context(running(asked)) for _ in range(instances)]
            bus = await stack.enter_async_context(service_bus(nats, "gateway"))
            yield Asker(bus, database, services)
    finally:
        await database.client.drop_database(name)
        database.client.close()


@pytest_asyncio.fixture(scope="module")
async def plane(nats, mongo):
    async with service(nats, mongo.url, heartbeat_s=HEARTBEAT_S) as asker:
        yield asker


@pytest_asyncio.fixture
async def ask(plane) -> Asker:
    """The service with an empty database."""
    for name in await plane.database.list_collection_names():
        if name not in {"account", "revocations"} and not name.startswith("system."):
            kept = {"kind": {"$ne": "idc"}} if name == "places" else {}
            await plane.database[name].delete_many(kept)
    return plane
