"""A host's connection as enrolment would make it, for tests that need no whole agent."""

import time
from pathlib import Path

from contracts import subjects
from runtime import nats_jwt
from runtime.bus import Connection, Options
from runtime.nats_jwt import Key, Kind
from tests.servers import NatsPlane


def write_credentials(nats: NatsPlane, folder: Path, idc: str, host: str, *, lifetime_s: float = 3600) -> Path:
    key = Key.make(Kind.USER)
    account = nats.trust.account_key("APP")
    user = nats_jwt.agent_user(host, idc, key=key.public, account=account, expires=int(time.time() + lifetime_s))
    signing = Key(nats.trust.signing_seed("APP", "agent").read_text())
    path = folder / f"{host}.creds"
    path.write_text(nats_jwt.credentials(nats_jwt.user_jwt(user, signing, time.time()), key.seed))
    return path


def host_connection(nats: NatsPlane, folder: Path, idc: str, host: str) -> Connection:
    return Connection(
        Options(
            name=host,
            servers=(nats.leaf_urls.get(idc, nats.hub_url),),
            credentials=write_credentials(nats, folder, idc, host),
            ca=nats.trust.ca,
            inbox=subjects.inbox(idc, host),
        )
    )
