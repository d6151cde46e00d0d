"""RESOURCES_* in the environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from contracts.tokens import BadToken, token
from runtime.settings import BadSettings, ServiceSettings
from runtime.signing import Box, decode, key_id
from services.resources.idcs import reserved


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    agent_signing_seed: str
    """Seed of the scoped signing key that makes agents' users; a stolen one makes agents and nothing else."""

    integration_signing_seed: str
    """Seed of the scoped signing key that makes integrations' users."""

    operator_signing_seed: str
    """Seed of the operator's signing key, which signs the account anew when somebody is revoked."""

    account_jwt: str
    """JWT of the account APP as first start or an upgrade made it. Revocations are kept in MongoDB and added to it."""

    sys_credentials: Path
    """Credentials file of the system account's user that may announce accounts and do nothing else."""

    command_keys: tuple[str, ...]
    """Base64 Ed25519 public keys, separated by commas: agents obey commands signed by one of these."""

    relays: str
    """JSON object: IDC → addresses that its agents connect to, such as {"js": ["tls://10.1.0.1:4222"]}."""

    ca: str
    """Certificate of the private CA in PEM, as agents and integrations get it."""

    public_nats: tuple[str, ...]
    """Addresses of the hub that integrations are told, separated by commas."""

    secrets_key: str
    """Base64 of the 32 bytes that encrypt the secrets of sources at rest. Give it as RESOURCES_SECRETS_KEY_FILE."""

    source_hosts: tuple[str, ...] = ()
    """Hosts that sources may be asked at, separated by commas, such as cmdb.example or cmdb.example:8443. Whoever may
    import hosts can have them asked, so name no host that trusts this machine by its address."""

    credentials_lifetime_s: int = 7 * 86400
    """Agents renew at half of it. A revocation is remembered as long as a credential could live."""

    heartbeat_s: float = 30.0
    """How often agents send heartbeats. A host not heard of for three times as long counts as offline. Presence is kept
    to the second and written every second, so much less than this would let hosts flicker."""


def relays(settings: Settings) -> Mapping[str, tuple[str, ...]]:
    """IDC → relays. Raises BadSettings."""
    try:
        found = msgspec.json.decode(settings.relays, type=dict[str, tuple[str, ...]])
        for idc in found:
            if reserved(token(idc)):
                raise BadSettings(f"RESOURCES_RELAYS: an IDC cannot be called {idc!r}: Drover uses that name itself")
    except (msgspec.DecodeError, BadToken) as error:
        raise BadSettings(f"RESOURCES_RELAYS: {error}") from None
    return found


def command_keys(settings: Settings) -> Mapping[str, str]:
    """Key id → public key. Raises BadSettings."""
    try:
        keys = {key_id(key): key for key in settings.command_keys}
        if any(len(decode(key)) != 32 for key in keys.values()):
            raise ValueError("a key has 32 bytes")
    except ValueError as error:
        raise BadSettings(f"RESOURCES_COMMAND_KEYS: not base64 Ed25519 public keys: {error}") from None
    return keys


def secrets_key(settings: Settings) -> bytes:
    """Raises BadSettings."""
    try:
        key = decode(settings.secrets_key)
    except ValueError:
        key = b""
    if len(key) != Box.SIZE:
        raise BadSettings(f"RESOURCES_SECRETS_KEY must be base64 of {Box.SIZE} bytes")
    return key
