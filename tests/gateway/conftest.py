"""A gateway on the real bus and database, and people of each role.

One for the whole folder. Gateways share their calls on the bus, so a test that starts another one on a database of its
own does so on servers of its own.
"""

import secrets
from typing import ClassVar

import pytest_asyncio
from motor.motor_asyncio import AsyncIOMotorClient

from contracts.names import NameUses, UnknownName, UnknownNames, unknown_names, uses_of_name
from runtime.bus import answer
from services.gateway.app import running
from services.gateway.settings import Settings
from tests.conftest import service_bus
from tests.gateway.client import ADMIN, PASSWORD, Client


def settings(nats, mongo, **others):
    wanted = {
        "nats_url": (nats.hub_url,),
        "nats_credentials": nats.trust.credentials("gateway"),
        "nats_ca": nats.trust.ca,
        "mongo_url": mongo.url,
        "mongo_database": f"gateway-{secrets.token_hex(4)}",
        "audit_seed": nats.trust.audit_seed.read_text(),
        "first_admin": ADMIN,
        "first_admin_password": PASSWORD,
    }
    return Settings(**{**wanted, **others})


@pytest_asyncio.fixture(scope="package")
async def set_up(nats, mongo):
    return settings(nats, mongo)


class Elsewhere:
    """The names that other services keep: all but those that a test says are none, and unused but for those it says."""

    unknown: ClassVar[dict[str, tuple[str, ...]]] = {}
    """Name → what is near it."""
    uses: ClassVar[dict[str, str]] = {}
    """Name → what names it."""

    @classmethod
    async def told(cls, request, _):
        missing = [name for name in request.names if name in cls.unknown]
        return UnknownNames(unknown=[UnknownName(name=name, near=cls.unknown[name]) for name in missing])

    @classmethod
    async def used(cls, request, _):
        return NameUses(uses=(cls.uses[request.name],) if request.name in cls.uses else ())


@pytest_asyncio.fixture(scope="package")
async def other_names(nats):
    async with service_bus(nats, "config") as config, service_bus(nats, "resources") as resources:
        for bus in (config, resources):
            await bus.serve(
                [answer(unknown_names(bus.name), Elsewhere.told), answer(uses_of_name(bus.name), Elsewhere.used)]
            )
        yield Elsewhere


@pytest_asyncio.fixture(scope="package")
async def address(set_up, other_names):
    async with running(set_up) as address:
        yield address


@pytest_asyncio.fixture(scope="package")
async def database(set_up, mongo):
    """What the gateway keeps, seen from the side."""
    client = AsyncIOMotorClient(mongo.url, tz_aware=True)
    yield client[set_up.mongo_database]
    client.close()


@pytest_asyncio.fixture(scope="package")
async def tokens(address):
    """Role → an API token of somebody who has that role."""
    made = {}
    async with Client(address) as admin:
        assert (await admin.log_in()).status == 200
        for role in ("viewer", "operator", "admin"):
            name = f"{role}-{secrets.token_hex(3)}"
            person = {"name": name, "password": PASSWORD, "roles": [role]}
            assert (await admin.post("/people", person)).status == 201
            async with Client(address) as browser:
                assert (await browser.log_in(name)).status == 200
                made[role] = (await browser.post("/tokens", {"label": "test"})).json["secret"]
    return made


@pytest_asyncio.fixture
async def browser(address, database):
    """Not logged in, and nothing is held against it."""
    await database["login_failures"].delete_many({})
    async with Client(address) as client:
        yield client


@pytest_asyncio.fixture
async def admin(address, tokens):
    async with Client(address, token=tokens["admin"]) as client:
        yield client


@pytest_asyncio.fixture
async def viewer(address, tokens):
    async with Client(address, token=tokens["viewer"]) as client:
        yield client


@pytest_asyncio.fixture
async def person(admin):
    """The name of somebody new, whose failures and end are nobody else's."""
    name = f"p-{secrets.token_hex(4)}"
    made = await admin.post("/people", {"name": name, "password": PASSWORD, "roles": ["viewer"]})
    assert made.status == 201
    return name
