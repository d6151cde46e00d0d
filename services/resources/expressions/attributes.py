"""What an expression can ask of a host: its name, where a host's document has it, which values make sense. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from contracts.hosts import HostClass, HostState


class Kind(StrEnum):
    TEXT = "text"
    NAME = "text without regard to case"
    ADDRESS = "IP address"
    STATE = "state"
    CLASS = "class"
    NUMBER = "number"
    BYTES = "number of bytes"
    YES_NO = "yes or no"
    PRESENCE = "online or not"


NUMBERS = frozenset({Kind.NUMBER, Kind.BYTES})
YES_OR_NO = frozenset({Kind.YES_NO, Kind.PRESENCE})
CHOICES: Mapping[Kind, tuple[str, ...]] = {Kind.STATE: tuple(HostState), Kind.CLASS: tuple(HostClass)}
"""Kinds whose values are a few fixed words."""

LABELS = "labels"
CUSTOM = "attributes"


@dataclass(frozen=True)
class Attribute:
    name: str
    kind: Kind
    path: tuple[str, ...]
    """Where a host's document has it."""
    many: bool = False
    """A host may have several values; one that fits is enough."""
    meaning: str = ""


def _table(*rows: Attribute) -> Mapping[str, Attribute]:
    return {row.name: row for row in rows}


ATTRIBUTES = _table(
    Attribute("id", Kind.TEXT, ("_id",), meaning="the host's id"),
    Attribute("hostname", Kind.NAME, ("hostname",), meaning="its host name"),
    Attribute("ip", Kind.ADDRESS, ("ips",), many=True, meaning="any of its addresses"),
    Attribute("idc", Kind.TEXT, ("idc",), meaning="its data centre"),
    Attribute("room", Kind.TEXT, ("room",), meaning="the room it stands in"),
    Attribute("rack", Kind.TEXT, ("rack",), meaning="its rack"),
    Attribute("set", Kind.TEXT, ("host_set",), meaning="the set it belongs to"),
    Attribute("business", Kind.TEXT, ("business",), meaning="the business it serves"),
    Attribute("product_line", Kind.TEXT, ("product_line",), meaning="its product line"),
    Attribute("state", Kind.STATE, ("state",), meaning="where it is in its life"),
    Attribute("class", Kind.CLASS, ("host_class",), meaning="a server, or a machine that runs Drover itself"),
    Attribute("tag", Kind.TEXT, ("tags",), many=True, meaning="any of its tags"),
    Attribute("os", Kind.TEXT, ("facts", "os"), meaning="its operating system, as the agent tells"),
    Attribute("kernel", Kind.TEXT, ("facts", "kernel"), meaning="its kernel"),
    Attribute("arch", Kind.TEXT, ("facts", "architecture"), meaning="its processors' architecture"),
    Attribute("cpus", Kind.NUMBER, ("facts", "cpus"), meaning="how many processors it has"),
    Attribute("memory", Kind.BYTES, ("facts", "memory_bytes"), meaning="its memory, such as `64GiB`"),
    Attribute("agent_version", Kind.TEXT, ("facts", "agent_version"), meaning="the version of its agent"),
    Attribute("online", Kind.PRESENCE, ("presence", "last_seen"), meaning="whether its agent is there"),
)
ALIASES = {"host": "hostname", "line": "product_line", "tags": "tag", "attr": CUSTOM}
PREFIXES = (LABELS, CUSTOM)
"""`labels.env` and `attributes.slots`: names that people choose."""


def custom(name: str, kind: Kind) -> Attribute:
    """An attribute that people declared."""
    return Attribute(f"{CUSTOM}.{name}", kind, (CUSTOM, name))


def label(name: str) -> Attribute:
    return Attribute(f"{LABELS}.{name}", Kind.TEXT, (LABELS, name))
