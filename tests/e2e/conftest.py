import pytest_asyncio

from bootstrap.environment import MANAGEMENT_IDC
from tests.plane import whole_plane


@pytest_asyncio.fixture(scope="session")
async def plane(tmp_path_factory):
    """Six agents in two data centres, and the management host's."""
    async with whole_plane(tmp_path_factory.mktemp("plane")) as plane:
        groups = {f"agents-{idc}": [(f"{idc}-{n}", idc) for n in (1, 2, 3)] for idc in ("js", "bj")}
        await plane.add_agents({**groups, "mgmt": [("management", MANAGEMENT_IDC)]})
        yield plane


@pytest_asyncio.fixture(scope="session")
async def bare_plane(tmp_path_factory):
    """Without any agent: nothing that a test asks for here can run on anybody's machine."""
    async with whole_plane(tmp_path_factory.mktemp("bare")) as plane:
        yield plane
