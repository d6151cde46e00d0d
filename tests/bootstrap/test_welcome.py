"""How a start speaks to the gateway, whatever others on this machine have done to it."""

import asyncio
from pathlib import Path

import pytest

from bootstrap.plane import Plane
from bootstrap.ports import Ports
from bootstrap.state import State
from bootstrap.welcome import NotReady, Welcome
from services.gateway.app import running
from services.gateway.sessions.model import FAILURES
from tests.gateway.client import Client
from tests.gateway.conftest import settings
from tests.servers import Mongod, nats_plane


async def test_wrong_passwords_of_others_do_not_keep_a_start_out(mongo: Mongod, tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    async with (
        nats_plane(tmp_path / "own", ("js",)) as nats,
        running(settings(nats, mongo, first_admin_password=state.password())) as address,
        Client(address) as browser,
    ):
        plane = Plane(state, Ports(gateway=int(address.rpartition(":")[2])))
        await asyncio.to_thread(Welcome(plane, str).log_in)
        for _ in range(FAILURES):
            await browser.log_in(password="wrong password")
        assert (await browser.log_in(password=state.password())).status == 429

        await asyncio.to_thread(Welcome(plane, str).log_in)

        assert state.token_file.stat().st_mode & 0o777 == 0o600
        state.token_file.write_text("no longer good")
        with pytest.raises(
            NotReady,
            match=r"admin cannot log in .*: 10 failed logins for this name or from this address; wait \d+ seconds",
        ):
            await asyncio.to_thread(Welcome(plane, str).log_in)
