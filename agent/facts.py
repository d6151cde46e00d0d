"""What the agent says of its host: read, never guessed, and small.

With a facts root, `etc/hostname`, `etc/os-release` and `etc/drover-facts.json` below it count first. The last one is a
JSON object with any of the fields of contracts.hosts.HostFacts, which then stand as written there.
"""

import ipaddress
import os
import platform
import pwd
import socket
from pathlib import Path

import msgspec
import structlog

from agent import hardware
from contracts.hosts import HostFacts

VERSION = "0.1.0"
OVERRIDES = "etc/drover-facts.json"
MOST_IPS = 64

log = structlog.get_logger()


def gather(facts_root: Path | None = None) -> HostFacts:
    facts = HostFacts(
        hostname=_hostname(facts_root)[:255],
        ips=_ips()[:MOST_IPS],
        os=_os(facts_root)[:200],
        kernel=os.uname().release[:200],
        architecture=os.uname().machine,
        cpus=os.cpu_count() or 0,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        boot_id=boot_id(),
        agent_version=VERSION,
        python=platform.python_version(),
        account=own_account(),
        virtualisation=hardware.virtualisation()[:200],
        product=hardware.product()[:200],
        disks=hardware.disks(),
        interfaces=hardware.interfaces(),
    )
    return _overridden(facts, facts_root)


def boot_id() -> str:
    """Another value means that the host has restarted meanwhile."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def own_account() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container may run as a number that nobody named
        return str(os.geteuid())


def local_ipv4(fib_trie: str) -> list[str]:
    """The local addresses of /proc/net/fib_trie, each once, without loopback."""
    found: dict[str, None] = {}
    address = ""
    for line in fib_trie.splitlines():
        words = line.split()
        if "|--" in words:
            address = words[-1]
        elif words[:3] == ["/32", "host", "LOCAL"] and not ipaddress.ip_address(address).is_loopback:
            found[address] = None
    return list(found)


def local_ipv6(if_inet6: str) -> list[str]:
    """The addresses of /proc/net/if_inet6, without loopback and link-local ones."""
    addresses = [ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in if_inet6.splitlines()]
    return [str(each) for each in addresses if not each.is_loopback and not each.is_link_local]


def _ips() -> tuple[str, ...]:
    return (*local_ipv4(_text("/proc/net/fib_trie")), *local_ipv6(_text("/proc/net/if_inet6")))


def _hostname(facts_root: Path | None) -> str:
    named = _text(facts_root / "etc/hostname").strip() if facts_root else ""
    return named or socket.gethostname()


def _os(facts_root: Path | None) -> str:
    text = (_text(facts_root / "etc/os-release") if facts_root else "") or _text("/etc/os-release")
    for line in text.splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip("\"'")
    return os.uname().sysname


def _overridden(facts: HostFacts, facts_root: Path | None) -> HostFacts:
    text = _text(facts_root / OVERRIDES) if facts_root else ""
    if not text:
        return facts
    try:
        written = msgspec.json.decode(text, type=dict[str, object])
        return msgspec.convert({**msgspec.structs.asdict(facts), **written}, HostFacts)
    except msgspec.DecodeError as error:
        log.error("facts.unreadable", file=str(facts_root) + "/" + OVERRIDES, error=str(error))
        return facts


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
