"""Everything that lets the parts of one installation trust each other, in one folder.

`prepare` may run at any time and as often as one likes: what is there stays, what is missing is made, what runs out
within thirty days is made anew. Every file is written in one step with mode 0600, so a start that was cut off goes on
where it stopped.

    operator.seed            signs nothing in daily use: keep it off line
    operator-signing.seed    signs accounts; the resources service holds it to announce revocations
    operator.jwt             what every server trusts
    accounts/                seed and JWT of APP (the work) and SYS (the servers' own talk)
    signing/                 one scoped signing key per role; a stolen one makes users of its role only
    credentials/             files for services, relays and the announcing of accounts
    command.seed             base64 Ed25519 seed of the jobs service: signs what agents obey
    command-keys.json        key id → base64 public key, pinned by agents at enrolment
    at-rest.key              base64 of 32 random bytes of the jobs service: secrets in its database
    config-at-rest.key       the same of the config service
    audit.seed               base64 Ed25519 seed of the gateway: signs checkpoints of the audit trail
    tls/                     the private CA and the certificates of hub and relays
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bootstrap import permissions
from bootstrap.certificates import LOOPBACK, RENEW_BEFORE, Authority
from bootstrap.files import keep, write, write_if_changed
from contracts.agents import GRANT_CONTEXT
from contracts.tokens import token
from runtime import nats_jwt
from runtime.nats_jwt import Account, Key, Kind, Permissions, Scope, User
from runtime.signing import Box, Signer, decode, encode

CREDENTIALS_LIFETIME = timedelta(days=397)
OPERATOR_NAME = "drover"
CLAIMS = "claims"
LATER_SERVICES = ("scheduler",)
"""An IDC that took such a name now could not keep it: `_INBOX.<idc>` would be the service's inbox."""


class BadName(SystemExit):
    """An IDC cannot have this name; the message is the line that says why."""


@dataclass(frozen=True)
class Trust:
    """Where things are, for whoever starts servers and services."""

    folder: Path

    @property
    def operator_jwt(self) -> Path:
        return self.folder / "operator.jwt"

    @property
    def operator_signing_seed(self) -> Path:
        return self.folder / "operator-signing.seed"

    @property
    def command_seed(self) -> Path:
        return self.folder / "command.seed"

    @property
    def command_keys(self) -> Path:
        return self.folder / "command-keys.json"

    @property
    def at_rest_key(self) -> Path:
        return self.folder / "at-rest.key"

    @property
    def config_at_rest_key(self) -> Path:
        return self.folder / "config-at-rest.key"

    @property
    def audit_seed(self) -> Path:
        return self.folder / "audit.seed"

    @property
    def resources_at_rest_key(self) -> Path:
        return self.folder / "resources-at-rest.key"

    @property
    def ca(self) -> Path:
        return self.folder / "tls" / "ca.crt"

    def certificate(self, server: str) -> Path:
        return self.folder / "tls" / f"{server}.crt"

    def certificate_key(self, server: str) -> Path:
        return self.folder / "tls" / f"{server}.key"

    def account_seed(self, account: str) -> Path:
        return self.folder / "accounts" / f"{account}.seed"

    def account_jwt(self, account: str) -> Path:
        return self.folder / "accounts" / f"{account}.jwt"

    def account_key(self, account: str) -> str:
        """The account's public key."""
        return Key(self.account_seed(account).read_text()).public

    def signing_seed(self, account: str, role: str) -> Path:
        return self.folder / "signing" / f"{account}-{role}.seed"

    def credentials(self, name: str) -> Path:
        """`jobs`, `resources`, `config`, `gateway`, `claims`, `leaf-<idc>` or `leaf-<idc>-sys`."""
        return self.folder / "credentials" / f"{name}.creds"


def prepare(
    folder: Path,
    idcs: Iterable[str],
    *,
    hosts: Mapping[str, tuple[str, ...]] | None = None,
    now: datetime | None = None,
    announced: Path | None = None,
) -> Trust:
    """Make or complete the trust material in `folder`.

    `hosts` names what else than loopback the servers (`hub`, `leaf-<idc>`) are reached by. `announced` is the folder
    where the hub keeps the accounts it was told of: revocations found there stay when an account is signed anew.
    """
    now = now or datetime.now(UTC)
    idcs = [_idc(name) for name in idcs]
    trust = Trust(folder)
    _accounts(trust, announced, now)
    _credentials(trust, idcs, now)
    signer = Signer(decode(keep(trust.command_seed, _random_key).decode()), GRANT_CONTEXT)
    keys = json.dumps({signer.key_id: signer.public_key}, indent=2)
    write_if_changed(trust.command_keys, keys.encode())
    keep(trust.at_rest_key, _random_key)
    keep(trust.config_at_rest_key, _random_key)
    keep(trust.audit_seed, _random_key)
    keep(trust.resources_at_rest_key, _random_key)
    authority = Authority(folder / "tls", now)
    for server in ("hub", *(f"leaf-{idc}" for idc in idcs)):
        authority.server(server, (*LOOPBACK, *(hosts or {}).get(server, ())), now)
    return trust


def _idc(name: str) -> str:
    try:
        token(name)
    except ValueError as error:
        raise BadName(f"an IDC needs another name: {error}") from None
    if name in {*permissions.SERVICES, *LATER_SERVICES} or name.startswith("i-"):
        raise BadName(f"an IDC cannot be called {name!r}: services and integrations (i-…) answer under such names")
    return name


def _accounts(trust: Trust, announced: Path | None, now: datetime) -> None:
    operator = _key(trust.folder / "operator.seed", Kind.OPERATOR)
    signing = _key(trust.operator_signing_seed, Kind.OPERATOR)
    system = _account(trust, "SYS", permissions.SYS, jetstream=False)
    work = _account(trust, "APP", permissions.APP, jetstream=True)
    timestamp = now.timestamp()
    if not trust.operator_jwt.exists():
        jwt = nats_jwt.operator_jwt(
            operator, OPERATOR_NAME, system_account=system.key, signing_keys=[signing.public], now=timestamp
        )
        write(trust.operator_jwt, jwt.encode())
    for account in (system, work):
        path = trust.account_jwt(account.name)
        if not path.exists() or not _says(path.read_text(), account):
            told = announced / f"{account.key}.jwt" if announced else path
            write(path, _signed_again(account, told, signing, timestamp).encode())


def _account(trust: Trust, name: str, roles: Mapping[str, Permissions], *, jetstream: bool) -> Account:
    key = _key(trust.account_seed(name), Kind.ACCOUNT)
    scopes = tuple(
        Scope(_key(trust.signing_seed(name, role), Kind.ACCOUNT).public, role, allowed)
        for role, allowed in roles.items()
    )
    return Account(name, key.public, scopes, jetstream=jetstream)


def _signed_again(account: Account, told: Path, signing: Key, now: float) -> str:
    """The account as its templates are now, with what was revoked, and newer than what servers have."""
    if not told.exists():
        return nats_jwt.account_jwt(account, signing, now)
    old = told.read_text()
    newer = max(now, nats_jwt.read(old)["iat"] + 1)
    return nats_jwt.account_jwt(replace(account, revocations=nats_jwt.revocations(old)), signing, newer)


def _says(jwt: str, account: Account) -> bool:
    """Whether the JWT grants what this version of the templates grants; revocations aside."""
    signed = {key: value for key, value in nats_jwt.read(jwt)["nats"].items() if key != "revocations"}
    granted: nats_jwt.Claims = account.claims()["nats"]
    return signed == granted


def _credentials(trust: Trust, idcs: Iterable[str], now: datetime) -> None:
    for service in permissions.SERVICES:
        _user(trust, service, "APP", f"service-{service}", service, (), now)
    _user(trust, CLAIMS, "SYS", "claims", CLAIMS, (), now)
    for idc in idcs:
        tags = (f"idc:{idc}",)
        _user(trust, f"leaf-{idc}", "APP", "leaf", f"leaf-{idc}", tags, now)
        _user(trust, f"leaf-{idc}-sys", "SYS", "leaf", f"leaf-{idc}", tags, now)


def _user(trust: Trust, file: str, account: str, role: str, name: str, tags: tuple[str, ...], now: datetime) -> None:
    """Keep a credentials file fresh. The key stays the same, so a revocation of the user stays in force."""
    path = trust.credentials(file)
    key = None
    if path.exists():
        jwt, key = nats_jwt.read_credentials(path.read_text())
        if nats_jwt.read(jwt)["exp"] - now.timestamp() > RENEW_BEFORE.total_seconds():
            return
    key = key or Key.make(Kind.USER)
    expires = int((now + CREDENTIALS_LIFETIME).timestamp())
    user = User(name=name, key=key.public, account=trust.account_key(account), tags=tags, expires=expires)
    signer = Key(trust.signing_seed(account, role).read_text())
    jwt = nats_jwt.user_jwt(user, signer, now.timestamp())
    write(path, nats_jwt.credentials(jwt, key.seed).encode())


def _key(path: Path, kind: Kind) -> Key:
    def seed() -> bytes:
        return Key.make(kind).seed.encode()

    return Key(keep(path, seed).decode())


def _random_key() -> bytes:
    return encode(os.urandom(Box.SIZE)).encode()
