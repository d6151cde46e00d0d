"""Real servers, started once for all tests that only use them. A test that kills one starts its own."""

from collections.abc import AsyncIterator
from typing import Any, TypeVar

import pytest
import pytest_asyncio
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from runtime import log
from runtime.bus import Bus
from tests.servers import Mongod, NatsPlane, mongod, nats_plane

R = TypeVar("R")

# How long an example takes says something of the machine and nothing of the code.
hypothesis_settings.register_profile("drover", deadline=None, suppress_health_check=(HealthCheck.too_slow,))
hypothesis_settings.load_profile("drover")


@pytest.fixture(scope="session", autouse=True)
def logs():
    log.configure("console")


@pytest_asyncio.fixture(scope="session")
async def nats(tmp_path_factory) -> AsyncIterator[NatsPlane]:
    """Hub and leaves js, bj."""
    async with nats_plane(tmp_path_factory.mktemp("nats")) as plane:
        yield plane


@pytest_asyncio.fixture(scope="session")
async def mongo(tmp_path_factory) -> AsyncIterator[Mongod]:
    async with mongod(tmp_path_factory.mktemp("mongo")) as server:
        yield server


class PatientBus(Bus):
    """Where a caller waits five seconds, the usual time, it waits for longer: a machine may stand still meanwhile."""

    async def _ask(self, subject: str, request: Any, reply: type[R], headers: dict[str, str], timeout: float) -> R:
        return await super()._ask(subject, request, reply, headers, 60.0 if timeout == 5.0 else timeout)


def service_bus(nats: NatsPlane, name: str, *, concurrency: int = 100) -> Bus:
    """The bus as the service `name` has it, with its own credentials."""
    return PatientBus.of_service(
        name,
        servers=(nats.hub_url,),
        credentials=nats.trust.credentials(name),
        ca=nats.trust.ca,
        concurrency=concurrency,
    )
