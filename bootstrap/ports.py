"""The ports of the one-machine plane, all on loopback: one table, each with a setting."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass, fields

LOOPBACK = "127.0.0.1"
PREFIX = "DROVER_PORT_"
LARGEST = 65_535


class PortTaken(SystemExit):
    """Something else listens on a port that we need; the message is the line that says which and what to do."""


class BadPort(SystemExit):
    """A port that cannot be meant; the message is the line that says which."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """`DROVER_PORT_<NAME>` in the environment sets another one."""

    gateway: int = 8470
    """The API."""
    resources: int = 8471
    """Health and metrics of resources."""
    jobs_1: int = 8472
    """Health and metrics of the first jobs instance."""
    jobs_2: int = 8473
    """Health and metrics of the second jobs instance."""
    config: int = 8474
    """Health and metrics of config."""
    hub: int = 14222
    """Where services, integrations and the management agent connect."""
    leaf_js: int = 14223
    """Where the agents of js connect."""
    leaf_bj: int = 14224
    """Where the agents of bj connect."""
    hub_leaves: int = 17422
    """Where leaves connect to the hub."""
    hub_monitor: int = 18222
    """The hub's own monitoring pages."""
    leaf_js_monitor: int = 18223
    """The same of the leaf of js."""
    leaf_bj_monitor: int = 18224
    """The same of the leaf of bj."""
    mongo: int = 17017
    """MongoDB."""


NATS_PORTS = ("hub", "leaf_js", "leaf_bj", "hub_leaves", "hub_monitor", "leaf_js_monitor", "leaf_bj_monitor")
MONGO_PORTS = ("mongo",)
SERVICE_PORTS = tuple(field.name for field in fields(Ports) if field.name not in {*NATS_PORTS, *MONGO_PORTS})


def check_free(ports: Ports, names: Iterable[str]) -> None:
    """Raises BadPort if these cannot be the ports of as many servers, and PortTaken for the first of them that somebody
    listens on."""
    names = tuple(names)
    _check_sense(ports, names)
    for name in names:
        with socket.socket() as probe:
            # As the servers themselves do: connections of a plane that was stopped just now are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port = getattr(ports, name)
            try:
                probe.bind((LOOPBACK, port))
            except OSError as error:
                raise PortTaken(
                    f"port {port}, meant for {name}, cannot be used ({error.strerror}):"
                    f" set {PREFIX}{name.upper()} to a free one"
                ) from None


def _check_sense(ports: Ports, names: Iterable[str]) -> None:
    meant = dict[int, str]()
    for name in names:
        port: int = getattr(ports, name)
        if not 1 <= port <= LARGEST:
            raise BadPort(f"{PREFIX}{name.upper()}={port} is no port: give one from 1 to {LARGEST}")
        if port in meant:
            raise BadPort(
                f"port {port} is meant for {meant[port]} and for {name}: set {PREFIX}{name.upper()} to another one"
            )
        meant[port] = name
