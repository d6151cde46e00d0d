"""IP addresses as keys that sort as numbers do, so that a network is one range of an index. Pure."""

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

FIELD = "ip_keys"
"""Of a host's document, written wherever `ips` is."""


def keys(ips: Iterable[str]) -> list[str]:
    """One for each canonical address."""
    return [_key(ipaddress.ip_address(each)) for each in ips]


def key_range(network: IPv4Network | IPv6Network) -> tuple[str, str]:
    """The first key and the last one."""
    return _key(network[0]), _key(network[-1])


def _key(address: IPv4Address | IPv6Address) -> str:
    return f"{address.version}:{address.packed.hex()}"
