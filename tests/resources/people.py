"""Whoever speaks with the service in tests: people through the gateway's name, and hosts that enrol."""

import base64
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from contracts import groups, hosts, subjects, topology
from contracts.agents import AgentCall, Heartbeat, Hello
from contracts.groups import CreateGroup
from contracts.hosts import (
    AskChallenge,
    CreateJoinToken,
    Enrol,
    Enrolled,
    HostFacts,
    HostRef,
    RenewCredentials,
    Renewed,
    ResolveTargets,
    Targets,
    enrolment_proof,
)
from contracts.people import Principal
from contracts.permissions import Role
from contracts.topology import CreatePlace, PlaceKind
from runtime import nats_jwt
from runtime.bus import Bus, Connection, Options
from runtime.mongo import Database
from runtime.nats_jwt import Key, Kind
from runtime.signing import BoxKey

ADMIN = Principal(kind="person", name="ada", roles=(Role.ADMIN,), via="session")
OPERATOR = Principal(kind="person", name="olga", roles=(Role.OPERATOR,), via="session")
VIEWER = Principal(kind="person", name="vic", roles=(Role.VIEWER,), via="session")
NOBODY = Principal(kind="anonymous", name="anonymous", via="none")


@dataclass
class Keys:
    """What an agent makes by itself before it enrols."""

    user: Key = field(default_factory=lambda: Key.make(Kind.USER))
    box: BoxKey = field(default_factory=BoxKey)

    def request(self, nonce: str, token: str, facts: HostFacts | None = None) -> Enrol:
        proof = enrolment_proof(nonce, self.user.public, self.box.public_key, token)
        return Enrol(
            token=token,
            nonce=nonce,
            user_key=self.user.public,
            box_key=self.box.public_key,
            signature=base64.b64encode(self.user.sign(proof)).decode(),
            facts=facts or HostFacts(),
        )


@dataclass
class Asker:
    """The gateway's bus, and the service's database and instances to look at."""

    bus: Bus
    database: Database
    services: list[Bus]

    async def __call__(self, call, request, by=ADMIN):
        return await self.bus.call(call, request, principal=by)

    async def token(self, idc: str = "js", **more) -> str:
        return (await self(hosts.create_join_token, CreateJoinToken(idc=idc, **more))).secret

    async def nonce(self, keys: Keys) -> str:
        return (await self(hosts.ask_challenge, AskChallenge(user_key=keys.user.public), NOBODY)).nonce

    async def enrol(self, token: str, facts: HostFacts | None = None, keys: Keys | None = None) -> Enrolled:
        keys = keys or Keys()
        return await self(hosts.enrol, keys.request(await self.nonce(keys), token, facts), NOBODY)

    async def host(self, idc: str = "js", *, ips=(), hostname="", **given) -> str:
        """A new host; its id."""
        facts = HostFacts(hostname=hostname, ips=tuple(ips))
        return (await self.enrol(await self.token(idc, **given), facts)).host

    async def places(self, *ids: str) -> None:
        """Make places, named as `business:shop`."""
        for each in ids:
            kind, _, path = each.partition(":")
            await self(topology.create_place, CreatePlace(kind=PlaceKind(kind), path=path))

    async def show(self, host: str):
        return await self(hosts.show_host, HostRef(host=host))

    async def group(self, name: str, **given):
        return await self(groups.create_group, CreateGroup(name=name, **given))

    async def resolve(self, **targets):
        return await self(hosts.resolve_targets, ResolveTargets(targets=Targets(**targets)))


class Agent:
    """A host's own connection, with the credentials it was given."""

    def __init__(self, folder: Path, keys: Keys, enrolled: Enrolled, *, urls: tuple[str, ...] = ()) -> None:
        self.keys, self.host, self.idc = keys, enrolled.host, enrolled.idc
        self._credentials = folder / f"{enrolled.host}.creds"
        self.take(enrolled.jwt)
        ca = folder / f"{enrolled.host}.ca"
        ca.write_text(enrolled.ca)
        inbox = subjects.inbox(self.idc, self.host)
        self.connection = Connection(
            Options(name=self.host, servers=urls or enrolled.relays, credentials=self._credentials, ca=ca, inbox=inbox)
        )
        self.bus = Bus(self.connection, self.host, self.host)

    def take(self, jwt: str) -> None:
        self._credentials.write_text(nats_jwt.credentials(jwt, self.keys.user.seed))

    async def __aenter__(self):
        self.connection.start()
        await self.connection.wait_connected()
        return self

    async def __aexit__(self, *_):
        await self.connection.close()

    async def heartbeat(self, *tasks: str) -> None:
        await self.say(subjects.heartbeat(self.idc, self.host), Heartbeat(boot_id="b", version="1", open=tasks))

    async def hello(self, facts: HostFacts) -> None:
        await self.say(subjects.hello(self.idc, self.host), Hello(boot_id="b", version="1", facts=facts))

    async def say(self, subject: str, message) -> None:
        await self.connection.publish(subject, msgspec.json.encode(message))
        await self.connection.flush()

    async def renew(self) -> Renewed:
        return await self.bus.ask_services(self.idc, self.host, AgentCall.RENEW, RenewCredentials(), Renewed)
