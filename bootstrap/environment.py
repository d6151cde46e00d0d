"""What each service is told at its start, from the trust material and the addresses. Pure: for the Procfile of one
machine, for tests, and as a pattern for manifests."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bootstrap.trust import Trust


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where the servers are. URLs of NATS are tls://host:port, several of them separated by commas."""

    hub: str
    relays: Mapping[str, str]
    """IDC → where its agents connect; the management IDC connects to the hub itself."""
    mongo: str


MANAGEMENT_IDC = "mgmt"


def resources(trust: Trust, addresses: Addresses, http_port: int) -> dict[str, str]:
    keys = json.loads(trust.command_keys.read_text())
    relays = {idc: url.split(",") for idc, url in {**addresses.relays, MANAGEMENT_IDC: addresses.hub}.items()}
    return _service("resources", trust, addresses, http_port) | {
        "RESOURCES_AGENT_SIGNING_SEED_FILE": str(trust.signing_seed("APP", "agent")),
        "RESOURCES_INTEGRATION_SIGNING_SEED_FILE": str(trust.signing_seed("APP", "integration")),
        "RESOURCES_OPERATOR_SIGNING_SEED_FILE": str(trust.operator_signing_seed),
        "RESOURCES_ACCOUNT_JWT_FILE": str(trust.account_jwt("APP")),
        "RESOURCES_SECRETS_KEY_FILE": str(trust.resources_at_rest_key),
        "RESOURCES_SYS_CREDENTIALS": str(trust.credentials("claims")),
        "RESOURCES_COMMAND_KEYS": ",".join(keys.values()),
        "RESOURCES_RELAYS": json.dumps(relays),
        "RESOURCES_CA_FILE": str(trust.ca),
        "RESOURCES_PUBLIC_NATS": addresses.hub,
    }


def jobs(trust: Trust, addresses: Addresses, http_port: int) -> dict[str, str]:
    return _service("jobs", trust, addresses, http_port) | {
        "JOBS_SIGNING_SEED_FILE": str(trust.command_seed),
        "JOBS_SECRETS_KEY_FILE": str(trust.at_rest_key),
    }


def config(trust: Trust, addresses: Addresses, http_port: int, *, depot: str = "") -> dict[str, str]:
    """`depot`: the folder of the instance that has it."""
    return _service("config", trust, addresses, http_port) | {
        "CONFIG_SECRETS_KEY_FILE": str(trust.config_at_rest_key),
        **({"CONFIG_DEPOT": depot} if depot else {}),
    }


def gateway(
    trust: Trust, addresses: Addresses, http_port: int, *, password_file: str, depot: str = ""
) -> dict[str, str]:
    """`depot`: the folder of the instance that has it."""
    return _service("gateway", trust, addresses, http_port) | {
        "GATEWAY_FIRST_ADMIN_PASSWORD_FILE": password_file,
        **({"GATEWAY_DEPOT": depot} if depot else {}),
        "GATEWAY_AUDIT_SEED_FILE": str(trust.audit_seed),
    }


def _service(name: str, trust: Trust, addresses: Addresses, http_port: int) -> dict[str, str]:
    prefix = name.upper()
    return {
        f"{prefix}_NATS_URL": addresses.hub,
        f"{prefix}_NATS_CREDENTIALS": str(trust.credentials(name)),
        f"{prefix}_NATS_CA": str(trust.ca),
        f"{prefix}_MONGO_URL": addresses.mongo,
        f"{prefix}_HTTP_PORT": str(http_port),
    }
