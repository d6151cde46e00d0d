"""Two instances of the service on the real servers, as they run in production, and people who ask them."""

import contextlib
import json
import secrets
from typing import ClassVar

import pytest_asyncio

from bootstrap import environment
from bootstrap.environment import Addresses
from contracts.hosts import HostFacts
from contracts.names import NameUses, uses_of_name
from runtime.bus import answer
from runtime.mongo import connect
from runtime.settings import load
from services.resources.app import running
from services.resources.settings import Settings
from tests.conftest import service_bus
from tests.resources import others as other_services
from tests.resources.people import Agent, Asker, Keys


class Keeping:
    """What other services say of names."""

    named: ClassVar[dict[str, str]] = {}
    """Name → what names it."""

    @classmethod
    async def uses(cls, request, _):
        return NameUses(uses=(cls.named[request.name],) if request.name in cls.named else ())


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
            config = await stack.enter_async_context(service_bus(nats, "config"))
            for keeper in (bus, config):
                await keeper.serve([answer(uses_of_name(keeper.name), Keeping.uses)])
            yield Asker(bus, database, services)
    finally:
        await database.client.drop_database(name)
        database.client.close()


@pytest_asyncio.fixture(scope="module")
async def plane(nats, mongo):
    """Whoever was heard stays online for as long as a test takes; modules that wait for silence have another."""
    async with service(nats, mongo.url, heartbeat_s=60) as asker:
        yield asker


@pytest_asyncio.fixture
async def enrolled(ask, tmp_path):
    """Makes agents that are connected as their hosts."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(idc="js", **facts):
            keys = Keys()
            answer = await ask.enrol(await ask.token(idc), HostFacts(**facts), keys)
            return await stack.enter_async_context(Agent(tmp_path, keys, answer))

        yield make


@pytest_asyncio.fixture
async def others(nats):
    """What jobs and config say to this service."""
    async with other_services.serving(nats) as made:
        yield made


@pytest_asyncio.fixture
async def told(nats):
    """Every change of a host that is announced, in order: (host, what)."""
    heard = []

    async def hear(message):
        event = json.loads(message.data)
        heard.append((event["host"], event["what"]))

    async with service_bus(nats, "gateway") as bus:
        await bus.hear("evt.resources.host.>", hear)
        await bus.connection.flush()
        yield heard


@pytest_asyncio.fixture
async def ask(plane) -> Asker:
    """The service with an empty database."""
    for name in await plane.database.list_collection_names():
        if name not in {"account", "revocations"} and not name.startswith("system."):
            kept = {"kind": {"$ne": "idc"}} if name == "places" else {}
            await plane.database[name].delete_many(kept)
    return plane
