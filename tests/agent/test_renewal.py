"""Credentials are renewed before they run out."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from agent import identity
from agent.renewal import due_in
from contracts.agents import AgentCall
from contracts.errors import Unavailable
from contracts.hosts import RenewCredentials, Renewed
from contracts.states import Outcome
from contracts.subjects import HostSubject
from runtime import nats_jwt
from runtime.bus import answer_agent
from runtime.nats_jwt import Key, Kind, User
from tests.agent.agent_rig import Dispatcher, Home, agent_jwt, reached
from tests.conftest import service_bus
from tests.servers import NatsPlane, until

LIFE_S = 20
"""Renewed at half of it. The other half is what a machine may stand still."""


@dataclass
class Renewer:
    """Signs new credentials, as the resources service does."""

    nats: NatsPlane
    keys: dict[str, str] = field(default_factory=dict)
    wrong: bool = False
    failures: int = 0

    async def renew(self, _: RenewCredentials, sender: HostSubject) -> Renewed:
        if self.failures:
            self.failures -= 1
            raise Unavailable("bus.no_answer", "Not now.")
        public = Key.make(Kind.USER).public if self.wrong else self.keys[sender.host]
        return Renewed(jwt=agent_jwt(self.nats, sender.host, sender.idc, public, LIFE_S))


@pytest.fixture
async def renewer(nats: NatsPlane) -> AsyncIterator[Renewer]:
    async with service_bus(nats, "resources") as bus:
        answering = Renewer(nats)
        await bus.serve([answer_agent(AgentCall.RENEW, RenewCredentials, answering.renew)])
        yield answering


async def test_an_agent_lives_longer_than_its_credentials(jobs: Dispatcher, home: Home, renewer: Renewer):
    renewer.failures = 1
    agent = await home.agent(lifetime_s=LIFE_S)
    own = await reached(jobs, agent)
    first, key = identity.read_credentials(agent.parts.kit.folder)
    renewer.keys[own.host] = key.public
    end_of_first = nats_jwt.read(first)["exp"]
    task = await jobs.run(own, "sleep 100")

    def outlived() -> bool:
        jwt, _ = identity.read_credentials(agent.parts.kit.folder)
        return nats_jwt.read(jwt)["iat"] > end_of_first

    await until(outlived, "credentials that were made after the first ones ended")
    assert agent.parts.kit.counters["renewal_failed"] >= 1
    own = await reached(jobs, agent)
    await jobs.cancel(own, task)
    assert (await jobs.report(own, task)).outcome is Outcome.STOPPED


async def test_credentials_for_another_key_are_not_taken(jobs: Dispatcher, home: Home, renewer: Renewer):
    agent = await home.agent()
    await reached(jobs, agent)
    before = agent.parts.kit.folder.credentials.read_text()
    renewer.wrong = True

    async def refused() -> bool:
        with contextlib.suppress(Unavailable):
            try:
                await agent.parts.renewal.renew()
            except nats_jwt.BadToken:
                return True
        return False

    await until(refused, "the renewed credentials are refused")
    assert agent.parts.kit.folder.credentials.read_text() == before


def test_credentials_are_due_at_half_of_their_life_give_or_take():
    signer, user = Key.make(Kind.ACCOUNT), Key.make(Kind.USER)

    def made(expires: int | None) -> str:
        return nats_jwt.user_jwt(User("h", user.public, signer.public, expires=expires), signer, 1000)

    assert due_in(made(2000), 1000.0, 0.0) == 500.0
    assert due_in(made(2000), 1000.0, 1.0) == 600.0
    assert due_in(made(2000), 1000.0, -1.0) == 400.0
    assert due_in(made(2000), 1900.0, 0.0) == 0.0
    assert due_in(made(None), 1000.0, 0.0) is None
