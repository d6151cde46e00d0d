"""A host, what people may change about it, and how its names are compared. Pure."""

import hashlib
import ipaddress
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from contracts.edits import BulkEdit
from contracts.errors import Conflict, Invalid
from contracts.hosts import ChangeHost, Host, HostFacts, HostState, Presence

Values = Mapping[str, Any]
"""Field of a host → its value."""

MOVES: dict[HostState, frozenset[HostState]] = {
    HostState.DEPLOYING: frozenset(HostState),
    HostState.STANDBY: frozenset(HostState),
    HostState.IN_SERVICE: frozenset(HostState) - {HostState.DEPLOYING},
    HostState.MAINTENANCE: frozenset(HostState),
    HostState.FAULTY: frozenset(HostState),
    HostState.RETIRED: frozenset({HostState.RETIRED, HostState.DEPLOYING, HostState.STANDBY}),
}
"""Two moves are steps too long: a host in service is taken out before it is deployed anew, and a retired one comes back
through deployment or the standby pool."""

CHANGEABLE = (
    *("state", "business", "product_line", "tags", "labels"),
    *("room", "rack", "host_set", "attributes", "serial", "asset_id"),
)
"""What people enter. Agents never touch it."""
ALIKE = ("state", "business", "product_line", "room", "rack", "host_set")
"""What can be the same on many hosts, and is one value."""
COUNTED, MOST = ("tags", "labels", "attributes"), 64

CHANGED_MEANWHILE = "host.changed_meanwhile"

EVERY_HOST_HAS = frozenset({"127.0.0.1", "::1"})
"""Addresses that name no host in particular; as a target they would mean everybody."""


def asked(host: Host, request: ChangeHost) -> Values:
    """What the request makes of the host's fields. Raises Conflict if somebody else was faster."""
    if request.revision not in {None, host.revision}:
        raise Conflict(CHANGED_MEANWHILE, f"The host {host.id} has another revision now.")
    return {name: value for name in CHANGEABLE if (value := getattr(request, name)) is not UNSET}


def asked_of_many(host: Host, request: BulkEdit) -> Values:
    """What the request makes of the fields of this one."""
    values = {name: value for name in ALIKE if (value := getattr(request, name)) is not UNSET}
    labels = {**host.labels, **request.set_labels}
    attributes = {**host.attributes, **request.set_attributes}
    return values | {
        "tags": tuple({*host.tags, *request.add_tags} - {*request.remove_tags}),
        "labels": {name: value for name, value in labels.items() if name not in request.remove_labels},
        "attributes": {name: value for name, value in attributes.items() if name not in request.remove_attributes},
    }


def changed(host: Host, values: Values, *, by: str, at: datetime) -> Host:
    """The host with these values as its next revision; the same object if nothing differs. Raises Conflict or
    Invalid."""
    if host.revoked:
        raise Conflict("host.revoked", f"{host.id} is revoked; its record stays as it was. Enrol it as a new host.")
    if "state" in values:
        check_move(host, values["state"])
    if "tags" in values:
        values = {**values, "tags": ordered(values["tags"])}
    for name in COUNTED:
        if len(values.get(name, ())) > MOST:
            raise Invalid("host.too_much", f"{host.id} would have {len(values[name])} {name}; {MOST} is the most.")
    after = msgspec.structs.replace(host, **values)
    if after == host:
        return host
    return msgspec.structs.replace(after, revision=host.revision + 1, changed_by=by, changed_at=at)


def check_move(host: Host, state: HostState) -> None:
    """Raises Conflict."""
    if state not in MOVES[host.state]:
        raise Conflict(
            "host.wrong_state",
            f"{host.id} is {host.state} and cannot become {state} at once;"
            f" it can become {', '.join(sorted(MOVES[host.state] - {host.state}))}.",
        )


def ordered(tags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(tags)))


def canonical_ip(text: str) -> str:
    """One spelling per address; what is no address comes back as it is, and matches none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Address(int(address)))  # without the scope, which is a name of the host's own
    return str(address)


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def addresses(facts: HostFacts) -> tuple[str, ...]:
    """The IPs that name this host, in the agent's order."""
    told = dict.fromkeys(canonical_ip(each) for each in facts.ips if is_ip(each))
    return tuple(each for each in told if each not in EVERY_HOST_HAS)


def canonical_hostname(text: str) -> str:
    """Host names are compared without regard to case, as DNS has it."""
    return text.lower()


def facts_hash(facts: HostFacts) -> str:
    """Equal facts have equal hashes, so that a hello without news writes nothing."""
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()


def with_presence(host: Host, *, heard_after: float) -> Host:
    """Whether a host is there is a matter of when it was heard last (seconds since 1970), not of what was announced."""
    last = host.presence.last_seen
    online = not host.revoked and last is not None and last.timestamp() >= heard_after
    presence = Presence(online=online, last_seen=last, open_tasks=host.presence.open_tasks)
    return msgspec.structs.replace(host, presence=presence)
