"""Configurations of the hub and of one leaf node per IDC, as files for the real nats-server.

Why they say what they say:
- TLS first on every hop: no server greets anybody in clear text, so agents pin the CA before the first byte.
- JetStream, domain `hub`, on the hub only: a leaf is a relay without state, and an acknowledged result is at the hub.
- `sync_interval` stays at the servers' default (two minutes): a PubAck is no promise on disk here. The agent frees its
  spool only upon `stored`, sent after MongoDB wrote with majority and journal; syncing each message would cost the
  server nine tenths of its throughput and promise nothing more.
- `js_ack_fc_v2` off: nats-py reads the first form of acknowledgement subjects only, the second ends its read loop.
- `isolate_leafnode_interest`: what one IDC listens to is none of another's business.
- The resolver's interval decides how soon a leaf that was down learns what was revoked meanwhile.
- Pings every half minute: a host that vanished without a word answers "nobody there" after a minute and a half.
"""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bootstrap.files import write_if_changed
from bootstrap.trust import Trust

RESOLVER_INTERVAL_S = 15
MONITOR_HOST = "127.0.0.1"
"""The servers' monitoring pages know every subject and connection, so they never leave the machine."""


class NoServer(SystemExit):
    """There is no nats-server to start; the message is the line that says so."""


@dataclass(frozen=True)
class Hub:
    host: str
    port: int
    leaf_port: int
    monitor_port: int
    name: str = "hub"
    max_storage: str = "24GB"
    """What all streams together may take on disk."""


@dataclass(frozen=True)
class Leaf:
    idc: str
    hubs: tuple[str, ...]
    """Addresses of the hub's leaf port, as `host:port`."""
    host: str
    port: int
    monitor_port: int

    @property
    def name(self) -> str:
        return f"leaf-{self.idc}"


def write_hub(folder: Path, trust: Trust, hub: Hub, *, resolver_interval_s: int = RESOLVER_INTERVAL_S) -> Path:
    """Write `<folder>/hub.conf`; the server keeps its streams and accounts below `<folder>/hub`."""
    state = folder / hub.name
    text = f"""
{_common(trust, hub.name, hub.host, hub.port, hub.monitor_port)}
jetstream {{ store_dir: {_quoted(state / "jetstream")}, max_mem: 256MB, max_file: {hub.max_storage}, domain: hub }}
leafnodes {{
  listen: {_quoted(f"{hub.host}:{hub.leaf_port}")}
  isolate_leafnode_interest: true
  {_tls(trust, hub.name)}
}}
{_accounts(trust, state, resolver_interval_s)}
"""
    return _conf(folder, hub.name, text)


def write_leaf(folder: Path, trust: Trust, leaf: Leaf, *, resolver_interval_s: int = RESOLVER_INTERVAL_S) -> Path:
    """Write `<folder>/leaf-<idc>.conf`."""
    urls = ", ".join(_quoted(f"tls://{hub}") for hub in leaf.hubs)
    remotes = "\n".join(
        f"    {{ urls: [{urls}], account: {trust.account_key(account)}, credentials: {_quoted(credentials)},"
        f" tls {{ ca_file: {_quoted(trust.ca)}, handshake_first: true }} }}"
        for account, credentials in (
            ("APP", trust.credentials(leaf.name)),
            ("SYS", trust.credentials(f"{leaf.name}-sys")),
        )
    )
    text = f"""
{_common(trust, leaf.name, leaf.host, leaf.port, leaf.monitor_port)}
leafnodes {{
  remotes: [
{remotes}
  ]
}}
{_accounts(trust, folder / leaf.name, resolver_interval_s)}
"""
    return _conf(folder, leaf.name, text)


def accounts_folder(folder: Path, server: str) -> Path:
    """Where a server keeps the account JWTs it was told of."""
    return folder / server / "accounts"


def program() -> Path:
    """The nats-server on the PATH, else the one installed beside this Python. Raises NoServer."""
    found = shutil.which("nats-server")
    beside = Path(sys.executable).with_name("nats-server")
    if found:
        return Path(found)
    if beside.exists():
        return beside
    raise NoServer("nats-server is missing: run `make setup`, put one on the PATH, or set NATS_URL to a running one")


def _common(trust: Trust, name: str, host: str, port: int, monitor_port: int) -> str:
    return f"""server_name: {name}
listen: {_quoted(f"{host}:{port}")}
http: {_quoted(f"{MONITOR_HOST}:{monitor_port}")}
ping_interval: "30s"
ping_max: 2
{_tls(trust, name)}
feature_flags {{ js_ack_fc_v2: false }}"""


def _tls(trust: Trust, server: str) -> str:
    certificate, key = _quoted(trust.certificate(server)), _quoted(trust.certificate_key(server))
    return f"tls {{ cert_file: {certificate}, key_file: {key}, handshake_first: true, timeout: 5 }}"


def _accounts(trust: Trust, state: Path, interval_s: int) -> str:
    preload: Sequence[str] = [
        f"  {trust.account_key(account)}: {trust.account_jwt(account).read_text()}" for account in ("APP", "SYS")
    ]
    folder = _quoted(accounts_folder(state.parent, state.name))
    return "\n".join(
        (
            f"operator: {_quoted(trust.operator_jwt)}",
            f"system_account: {trust.account_key('SYS')}",
            f'resolver: {{ type: full, dir: {folder}, allow_delete: false, interval: "{interval_s}s" }}',
            "resolver_preload: {",
            *preload,
            "}",
        )
    )


def _quoted(value: str | Path) -> str:
    return f"'{value}'"


def _conf(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.conf"
    write_if_changed(path, text.lstrip().encode())
    return path
