"""Hosts of a measurement: enrolled by writing down what an enrolment leaves behind, since that is not what is measured.

Credentials are real ones, signed with the scoped key that only makes agents.
"""

import base64
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from agent import identity, journal
from agent.folder import Folder
from bootstrap.trust import Trust
from contracts.hosts import Host, HostClass, HostFacts, HostState, Presence
from runtime import ids, nats_jwt
from runtime.nats_jwt import Key, Kind
from runtime.signing import BoxKey
from services.resources.hosts.document import Enrolment, HostRecord, to_document
from services.resources.hosts.model import facts_hash

LIFETIME_S = 86_400
INSERTED_AT_ONCE = 1000


@dataclass(frozen=True)
class Minted:
    id: str
    idc: str
    key: Key
    box: BoxKey
    jwt: str

    @property
    def credentials(self) -> str:
        return nats_jwt.credentials(self.jwt, self.key.seed)


def mint(trust: Trust, count: int, idcs: Sequence[str]) -> list[Minted]:
    """`count` hosts, spread over the IDCs in turn."""
    signing, account, now = Key(trust.signing_seed("APP", "agent").read_text()), trust.account_key("APP"), time.time()
    minted = []
    for number in range(count):
        host, idc, key = ids.host_id(), idcs[number % len(idcs)], Key.make(Kind.USER)
        user = nats_jwt.agent_user(host, idc, key=key.public, account=account, expires=int(now) + LIFETIME_S)
        minted.append(Minted(host, idc, key, BoxKey(), nats_jwt.user_jwt(user, signing, now)))
    return minted


def document(minted: Minted) -> dict[str, Any]:
    """As the resources service keeps it."""
    now = time.time()
    host = Host(
        id=minted.id,
        hostname=minted.id,
        ips=(),
        idc=minted.idc,
        host_class=HostClass.PHYSICAL,
        state=HostState.IN_SERVICE,
        business="bench",
        product_line="bench",
        tags=(),
        labels={},
        facts=HostFacts(hostname=minted.id),
        presence=Presence(),
        created_at=datetime.fromtimestamp(now, UTC),
        revision=1,
    )
    enrolment = Enrolment(
        user_key=minted.key.public,
        box_key=minted.box.public_key,
        join_token="",
        issued_at=int(now),
        credentials_until=int(now) + LIFETIME_S,
    )
    return to_document(HostRecord(host, enrolment), facts_hash(host.facts), {})


async def enter(resources: Any, minted: Sequence[Minted]) -> None:
    """Into the database of the resources service."""
    for start in range(0, len(minted), INSERTED_AT_ONCE):
        await resources["hosts"].insert_many([document(each) for each in minted[start : start + INSERTED_AT_ONCE]])


def settle_in(root: Path, minted: Minted, trust: Trust, relays: Iterable[str]) -> None:
    """Make the folder that an agent finds after its enrolment."""
    folder = Folder(root)
    folder.make()
    journal.create(folder.journal, minted.id)
    own = identity.Identity(
        host=minted.id,
        idc=minted.idc,
        box_seed=base64.b64encode(minted.box.seed).decode(),
        command_keys=msgspec.json.decode(trust.command_keys.read_bytes(), type=dict[str, str]),
        relays=tuple(relays),
    )
    identity.write(folder, own, jwt=minted.jwt, seed=minted.key.seed, ca=trust.ca.read_text())
