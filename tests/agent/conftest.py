import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.kit import Household
from agent.settings import Limits
from tests.agent.agent_rig import Dispatcher, Home, dispatcher
from tests.servers import NatsPlane


@pytest.fixture(scope="module")
async def jobs(nats: NatsPlane) -> AsyncIterator[Dispatcher]:
    async with dispatcher(nats) as speaking:
        yield speaking


@pytest.fixture
def passable() -> Iterator[Path]:
    """Not pytest's own folder: no other account may enter that."""
    root = Path(tempfile.mkdtemp(prefix="drover-agent-"))
    root.chmod(0o711)
    yield root
    end_all_of(root)
    shutil.rmtree(root, ignore_errors=True)


def end_all_of(root: Path) -> None:
    """Scripts outlive their agent, and when a test kills their spawner nobody else ends them."""
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdigit() and str(process.joinpath("cwd").readlink()).startswith(f"{root}/"):
                os.kill(int(process.name), signal.SIGKILL)


@pytest.fixture
async def home(nats: NatsPlane, passable: Path) -> AsyncIterator[Home]:
    limits = Limits(heartbeat_s=1.0, spawner_idle_s=2.0)
    house = Household(passable / "spawner", limits)
    house.start()
    running = Home(nats, passable, limits, house)
    try:
        yield running
    finally:
        await running.close()
