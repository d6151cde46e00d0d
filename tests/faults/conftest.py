import pytest_asyncio

from tests.plane import whole_plane

GROUPS = {
    "agents-js-a": [(f"js-{n}", "js") for n in range(1, 6)],
    "agents-js-b": [(f"js-{n}", "js") for n in range(6, 11)],
    "agents-bj-a": [(f"bj-{n}", "bj") for n in range(1, 6)],
    "agents-bj-b": [(f"bj-{n}", "bj") for n in range(6, 11)],
}


@pytest_asyncio.fixture(scope="session")
async def plane(tmp_path_factory):
    """Twenty hosts in four processes of five agents; the agents of a process share a spawner."""
    async with whole_plane(tmp_path_factory.mktemp("faults")) as plane:
        await plane.add_agents(GROUPS)
        yield plane
