from collections.abc import AsyncIterator

import pytest

from tests.servers import NatsPlane, nats_plane
from tests.trust.client import Clients


@pytest.fixture(scope="session")
async def plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsPlane]:
    async with nats_plane(tmp_path_factory.mktemp("plane")) as running:
        yield running


@pytest.fixture
async def clients(plane: NatsPlane) -> AsyncIterator[Clients]:
    async with Clients(plane) as connected:
        yield connected
