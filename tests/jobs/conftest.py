import secrets

import pytest_asyncio

from runtime.mongo import connect
from tests.jobs.rig import rig


@pytest_asyncio.fixture
async def database(mongo):
    database = await connect(mongo.url, f"jobs-{secrets.token_hex(4)}")
    yield database
    await database.client.drop_database(database.name)
    database.client.close()


@pytest_asyncio.fixture
async def jobs(request, nats, mongo, database, tmp_path):
    """Two instances of the service, always: a bug that needs the other one must show. A parameter changes settings."""
    async with rig(nats, mongo.url, database, tmp_path, **getattr(request, "param", {})) as built:
        yield built
