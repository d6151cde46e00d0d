"""A machine becomes a host through the real gateway, or stays what it was."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent import identity
from agent.app import Agent
from agent.enrolment import EnrolmentFailed, Invitation, enrol_here
from agent.folder import Folder
from agent.identity import NotEnrolled
from agent.journal import WrongJournal
from agent.settings import Settings
from contracts import hosts
from contracts.hosts import HostRef
from contracts.states import Outcome
from services.gateway.app import running
from tests.agent.agent_process import agent_process
from tests.agent.agent_rig import Dispatcher, Home, enrol, reached
from tests.gateway.conftest import settings as gateway_settings
from tests.resources.conftest import service
from tests.resources.people import Asker
from tests.servers import Mongod, NatsPlane, until


@dataclass
class Desk:
    """Where machines enrol."""

    ask: Asker
    gateway: str
    ca: Path

    async def invite(self, **token) -> Invitation:
        return Invitation(gateway=self.gateway, gateway_ca=self.ca, token=await self.ask.token(**token))


@pytest.fixture(scope="module")
async def desk(nats: NatsPlane, mongo: Mongod) -> AsyncIterator[Desk]:
    certificate = {"tls_certificate": nats.trust.certificate("hub"), "tls_key": nats.trust.certificate_key("hub")}
    gateway = running(gateway_settings(nats, mongo, **certificate))
    async with service(nats, mongo.url, instances=1) as ask, gateway as address:
        yield Desk(ask, address, nats.trust.ca)


async def enrolled(root: Path, invitation: Invitation) -> identity.Identity:
    return await asyncio.to_thread(enrol_here, Folder(root), invitation, root)


async def test_a_host_enrols_over_tls_and_runs_what_it_is_told(desk: Desk, jobs: Dispatcher, home: Home):
    root = home.root / "a"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "hostname").write_text("web1\n")
    (root / "etc" / "drover-facts.json").write_text('{"ips": ["10.1.2.3"]}')
    assert desk.gateway.startswith("https://")
    own = await enrolled(root, await desk.invite(idc="bj"))
    assert own.idc == "bj"
    host = await desk.ask(hosts.show_host, HostRef(host=own.host))
    assert (host.hostname, host.ips) == ("web1", ("10.1.2.3",))
    for secret in (Folder(root).identity, Folder(root).credentials, Folder(root).journal):
        assert secret.stat().st_mode & 0o777 == 0o600, secret
    agent = await home.agent("a")
    own = await reached(jobs, agent)
    assert (await jobs.report(own, await jobs.run(own, "true"))).outcome is Outcome.SUCCEEDED
    await agent.parts.renewal.renew()
    own = await reached(jobs, agent)


async def test_the_process_enrols_by_itself_when_it_first_starts(desk: Desk, jobs: Dispatcher, passable: Path):
    root, joining = passable / "host", passable / "join"
    joining.write_text((await desk.invite(idc="js")).token)
    words = ("--gateway", desk.gateway, "--gateway-ca", str(desk.ca), "--join-file", str(joining))
    with agent_process(root, words=words) as process:
        process.start()
        folder = Folder(root)
        await until(lambda: process.ended() or folder.identity.exists(), "it is enrolled")
        own = identity.read(folder)
        await until(lambda: process.ended() or any(host == own.host for host, _ in jobs.hellos), "it says hello")
        assert not process.ended(), process.tail()
        await process.stop()


@pytest.mark.parametrize("spent", ["unknown", "used", "withdrawn"])
async def test_a_token_that_does_not_count_leaves_the_folder_as_it_was(desk: Desk, tmp_path: Path, spent: str):
    invitation = await desk.invite(idc="js")
    if spent == "unknown":
        invitation = Invitation(gateway=desk.gateway, gateway_ca=desk.ca, token="nosuchtoken")
    elif spent == "used":
        await enrolled(tmp_path / "first", invitation)
    else:
        for token in (await desk.ask(hosts.list_join_tokens, hosts.Nothing())).tokens:
            await desk.ask(hosts.withdraw_join_token, hosts.JoinTokenRef(id=token.id))
    with pytest.raises(EnrolmentFailed) as refused:
        await enrolled(tmp_path / "a", invitation)
    assert "join.token_invalid" in str(refused.value)
    assert not refused.value.again
    assert not identity.is_enrolled(Folder(tmp_path / "a"))
    assert not Folder(tmp_path / "a").journal.exists()
    await enrolled(tmp_path / "a", await desk.invite(idc="js"))


@pytest.mark.parametrize("address", ["http://10.0.0.1:80", "http://example.org", "ftp://127.0.0.1", "127.0.0.1", ""])
async def test_a_join_token_never_travels_in_the_clear(tmp_path: Path, address: str):
    with pytest.raises(EnrolmentFailed) as refused:
        await enrolled(tmp_path / "a", Invitation(gateway=address, token="t"))
    assert "use https" in str(refused.value)
    assert not refused.value.again


async def test_a_gateway_with_another_certificate_gets_no_token(desk: Desk, tmp_path: Path):
    system_only = Invitation(gateway=desk.gateway, token="t")
    with pytest.raises(EnrolmentFailed) as refused:
        await enrolled(tmp_path / "a", system_only)
    assert isinstance(refused.value.__context__ or refused.value, ssl.SSLError | EnrolmentFailed | OSError)
    assert "cannot be used" in str(refused.value)
    assert refused.value.again


async def test_a_gateway_that_is_away_is_worth_another_try(tmp_path: Path):
    with pytest.raises(EnrolmentFailed) as refused:
        await enrolled(tmp_path / "a", Invitation(gateway="http://127.0.0.1:1", token="t"))
    assert refused.value.again


async def test_an_enrolment_that_was_cut_off_begins_anew(desk: Desk, tmp_path: Path):
    root = tmp_path / "a"
    first = await enrolled(root, await desk.invite(idc="js"))
    Folder(root).identity.unlink()  # written last, so this is how the folder looks after a cut
    with pytest.raises(NotEnrolled):
        identity.read(Folder(root))
    second = await enrolled(root, await desk.invite(idc="js"))
    assert second.host != first.host
    assert identity.read(Folder(root)) == second


@pytest.mark.parametrize("lost", ["journal.db", "identity.json", "agent.creds", "ca.pem"])
async def test_who_loses_one_loses_all(nats: NatsPlane, home: Home, lost: str):
    root = home.root / "a"
    enrol(nats, root)
    (root / lost).unlink()
    with pytest.raises(NotEnrolled):
        await Agent(Settings(root=root), home.house).start()


async def test_the_journal_of_another_host_is_refused(nats: NatsPlane, home: Home):
    enrol(nats, home.root / "a")
    enrol(nats, home.root / "b")
    (home.root / "b" / "journal.db").replace(home.root / "a" / "journal.db")
    for ending in ("-wal", "-shm"):
        (home.root / "a" / f"journal.db{ending}").unlink(missing_ok=True)
    with pytest.raises(WrongJournal):
        await Agent(Settings(root=home.root / "a"), home.house).start()
