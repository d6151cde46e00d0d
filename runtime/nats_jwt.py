"""Identities on the bus: nkeys and the JWTs that NATS servers check without asking anybody.

An operator vouches for accounts, an account's scoped signing keys vouch for users: what a user may do stands in the
template of the key that signed it, so a stolen signing key makes users of its one kind and nothing else. Names and
tags of the user fill the template. Everything here is pure; times are seconds since 1970 and are passed in.

Format: NATS JWT version 2 (the servers' own libraries write the same), Ed25519 through libsodium.
"""

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import nkeys
from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

Claims = dict[str, Any]

_HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}
_NO_LIMIT = -1
EVERYBODY = "*"
"""As the key of a revocation: every user of the account that was issued before."""


class BadKey(ValueError):
    """The text is not an nkey of the kind that is needed."""


class BadToken(ValueError):
    """The text is not a JWT that its issuer signed."""


class Kind(IntEnum):
    """What an nkey is for; it decides the first letter of the public key: O, A, U."""

    OPERATOR = nkeys.PREFIX_BYTE_OPERATOR
    ACCOUNT = nkeys.PREFIX_BYTE_ACCOUNT
    USER = nkeys.PREFIX_BYTE_USER


class Key:
    """An nkey pair. The seed (`S…`) is the secret; the public key names the operator, account or user."""

    def __init__(self, seed: str) -> None:
        """Raises BadKey."""
        try:
            self._pair = nkeys.from_seed(seed.encode())
            self.public: str = self._pair.public_key.decode()
        except (nkeys.NkeysError, ValueError) as error:
            raise BadKey("this is not the seed of an nkey") from error
        self.seed = seed

    @classmethod
    def make(cls, kind: Kind) -> "Key":
        return cls(nkeys.encode_seed(os.urandom(32), kind).decode())

    def sign(self, data: bytes) -> bytes:
        signature: bytes = self._pair.sign(data)
        return signature


def verify(public: str, kind: Kind, data: bytes, signature: bytes) -> bool:
    """Whether the owner of `public` signed `data`. Raises BadKey if `public` is no key of this kind."""
    try:
        VerifyKey(_raw(public, kind)).verify(data, signature)
    except (CryptoError, ValueError) as error:
        if isinstance(error, BadKey):
            raise
        return False
    return True


def is_key(public: str, kind: Kind) -> bool:
    try:
        _raw(public, kind)
    except BadKey:
        return False
    return True


def _raw(public: str, kind: Kind) -> bytes:
    try:
        decoded = base64.b32decode(public)
    except ValueError as error:
        raise BadKey("this is not a public nkey") from error
    body, check = decoded[:-2], decoded[-2:]
    if len(body) != 33 or nkeys.crc16(bytearray(body)).to_bytes(2, "little") != check:
        raise BadKey("this is not a public nkey")
    if body[0] != kind:
        raise BadKey(f"this nkey is not one of a {kind.name.lower()}")
    return body[1:]


@dataclass(frozen=True)
class Permissions:
    """Subjects that a user may publish and subscribe; templates use `{{name()}}` and `{{tag(x)}}`."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    subscriptions: int = _NO_LIMIT
    payload: int = _NO_LIMIT
    """Bytes of one message."""

    def claims(self) -> Claims:
        """An empty list means everything to a NATS server, so nothing is spelled as a denial of all."""
        return {
            "pub": {"allow": list(self.publish)} if self.publish else {"deny": [">"]},
            "sub": {"allow": list(self.subscribe)} if self.subscribe else {"deny": [">"]},
            "subs": self.subscriptions,
            "data": _NO_LIMIT,
            "payload": self.payload,
        }


@dataclass(frozen=True)
class Scope:
    """A signing key of an account and what its users may do."""

    key: str
    role: str
    permissions: Permissions


@dataclass(frozen=True)
class Account:
    name: str
    key: str
    scopes: tuple[Scope, ...]
    jetstream: bool = False
    revocations: Mapping[str, int] | None = None
    """Public user key, or EVERYBODY, → users issued up to this second are refused and cut."""

    def claims(self) -> Claims:
        limits = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), _NO_LIMIT)
        storage = ("mem_storage", "disk_storage", "streams", "consumer") if self.jetstream else ()
        nats: Claims = {
            "type": "account",
            "version": 2,
            "limits": {**limits, "wildcards": True, **dict.fromkeys(storage, _NO_LIMIT)},
            # Users are made by scoped keys alone; whatever else could appear may do nothing.
            "default_permissions": {"pub": {"deny": [">"]}, "sub": {"deny": [">"]}},
            "signing_keys": [
                {"kind": "user_scope", "key": scope.key, "role": scope.role, "template": scope.permissions.claims()}
                for scope in self.scopes
            ],
        }
        if self.revocations:
            nats["revocations"] = dict(self.revocations)
        return {"name": self.name, "sub": self.key, "nats": nats}


@dataclass(frozen=True)
class User:
    """A user as a scoped signing key makes it: without permissions of its own."""

    name: str
    key: str
    account: str
    """Public key of the account."""
    tags: tuple[str, ...] = ()
    """`name:value`, lower case: servers compare them so."""
    expires: int | None = None

    def claims(self) -> Claims:
        nats: Claims = {"type": "user", "version": 2, "issuer_account": self.account, "pub": {}, "sub": {}}
        if self.tags:
            nats["tags"] = [tag.lower() for tag in self.tags]
        claims: Claims = {"name": self.name, "sub": self.key, "nats": nats}
        if self.expires is not None:
            claims["exp"] = self.expires
        return claims


def operator_jwt(operator: Key, name: str, *, system_account: str, signing_keys: Sequence[str], now: float) -> str:
    nats = {
        "type": "operator",
        "version": 2,
        "system_account": system_account,
        "signing_keys": list(signing_keys),
        # The identity keys of operator and accounts sign nothing in use, so they can be kept off line.
        "strict_signing_key_usage": True,
    }
    return sign({"name": name, "sub": operator.public, "nats": nats}, operator, now)


def account_jwt(account: Account, operator_signing_key: Key, now: float) -> str:
    return sign(account.claims(), operator_signing_key, now)


def user_jwt(user: User, scoped_key: Key, now: float) -> str:
    return sign(user.claims(), scoped_key, now)


def agent_user(host: str, idc: str, *, key: str, account: str, expires: int) -> User:
    """The user of an agent, to be signed by the scoped key `agent`."""
    return User(name=host, key=key, account=account, tags=(f"idc:{idc}",), expires=expires)


NO_EVENT = "none.none"
"""Stands for the events of an integration that hears none: a template whose tag has no value refuses the user."""


def integration_user(
    name: str, calls: Sequence[str], events: Sequence[str], *, key: str, account: str, expires: int
) -> User:
    """The user of an integration, to be signed by the scoped key `integration`.

    `calls` and `events` become subjects as they are: the caller checks them against the contracts first.
    """
    tags = (*(f"call:{call}" for call in calls), *(f"event:{event}" for event in events or (NO_EVENT,)))
    return User(name=name, key=key, account=account, tags=tags, expires=expires)


def with_revocations(account: str, revocations: Mapping[str, int], operator_signing_key: Key, now: float) -> str:
    """The same account JWT with exactly these revocations, to be pushed to the servers. Raises BadToken.

    Servers ignore a JWT that is older than the one they have, and count in seconds: so the new one is always dated
    after the given one, whatever this machine's clock says.
    """
    claims = read(account)
    nats = {key: value for key, value in claims["nats"].items() if key != "revocations"}
    if revocations:
        nats["revocations"] = dict(revocations)
    issued = max(now, claims["iat"] + 1)
    return sign({"name": claims["name"], "sub": claims["sub"], "nats": nats}, operator_signing_key, issued)


def revocations(account: str) -> dict[str, int]:
    """Raises BadToken."""
    found: dict[str, int] = read(account)["nats"].get("revocations", {})
    return found


def sign(claims: Claims, issuer: Key, now: float) -> str:
    body = {**claims, "iat": int(now), "iss": issuer.public, "jti": ""}
    body["jti"] = _base32(hashlib.new("sha512_256", _json(body, sort=True)).digest())
    text = f"{_base64(_json(_HEADER))}.{_base64(_json(body))}"
    return f"{text}.{_base64(issuer.sign(text.encode()))}"


def read(token: str) -> Claims:
    """The claims of a JWT whose signature is its issuer's. Whether that issuer is trusted is the reader's question.

    Raises BadToken.
    """
    text, _, signature = token.strip().rpartition(".")
    try:
        claims: Claims = json.loads(_from_base64(text.partition(".")[2]))
        issuer = claims["iss"]
        kind = Kind.OPERATOR if issuer.startswith("O") else Kind.ACCOUNT
        genuine = verify(issuer, kind, text.encode(), _from_base64(signature))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadToken("this is not a JWT of NATS") from error
    if not genuine:
        raise BadToken("the signature of this JWT is not its issuer's")
    return claims


def credentials(token: str, seed: str) -> str:
    """Content of a credentials file, as every NATS client reads it."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )


def read_credentials(content: str) -> tuple[str, Key]:
    """JWT and key of a credentials file. Raises BadToken or BadKey."""
    lines = [line.strip() for line in content.splitlines() if line.strip() and not line.startswith("--")]
    if len(lines) != 2:
        raise BadToken("this is not a credentials file of NATS")
    return lines[0], Key(lines[1])


def _json(value: object, *, sort: bool = False) -> bytes:
    return json.dumps(value, sort_keys=sort, separators=(",", ":")).encode()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _from_base64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=")
