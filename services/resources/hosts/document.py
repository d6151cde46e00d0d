"""A host as MongoDB keeps it: the contract's Host, and what only this service needs to know. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from contracts.edits import Origin
from contracts.hosts import Host
from services.resources.hosts import addresses

Document = dict[str, Any]
Origins = Mapping[str, Origin]
"""Field of a host → where its value comes from."""

GROUPS = "groups"
"""Keys of the static groups that a host was put into."""


@dataclass(frozen=True)
class Enrolment:
    """The keys of a host and what was issued to it."""

    user_key: str
    """Its public nkey; at most one host that is not revoked has it."""
    box_key: str
    """Its X25519 public key, base64."""
    join_token: str
    issued_at: int
    """When its newest credentials say they were issued, in seconds since 1970. A revocation covers all up to then."""
    credentials_until: int
    """No credentials that it ever got live longer, in seconds since 1970."""


@dataclass(frozen=True)
class HostRecord:
    host: Host
    enrolment: Enrolment | None
    """None of a host that was imported and has not enrolled."""


@dataclass(frozen=True)
class Traced:
    host: Host
    origins: Origins


@dataclass(frozen=True)
class Changed:
    before: Host
    after: Host
    origins: Origins
    """After the change."""


def to_document(record: HostRecord, facts_hash: str, origins: Origins) -> Document:
    document: Document = msgspec.to_builtins(record.host, builtin_types=(datetime,))
    document["_id"] = document.pop("id")
    document |= {addresses.FIELD: addresses.keys(record.host.ips), "facts_hash": facts_hash}
    document["origins"] = _origins(origins)
    return document if record.enrolment is None else document | enrolment_fields(record.enrolment)


def enrolment_fields(enrolment: Enrolment) -> Document:
    return {
        "user_key": enrolment.user_key,
        "box_key": enrolment.box_key,
        "join_token": enrolment.join_token,
        "issued_at": enrolment.issued_at,
        "credentials_until": at(enrolment.credentials_until),
    }


def to_host(document: Document) -> Host:
    return msgspec.convert(document | {"id": document["_id"]}, Host)


def to_traced(document: Document) -> Traced:
    return Traced(to_host(document), msgspec.convert(document.get("origins", {}), dict[str, Origin]))


def change_of(changed: Changed) -> Document:
    """The update that writes what differs, and nothing else: the agent may have said something meanwhile."""
    old, new = _fields(changed.before), _fields(changed.after)
    values = {name: value for name, value in new.items() if old[name] != value}
    if "ips" in values:
        values[addresses.FIELD] = addresses.keys(changed.after.ips)
    return {"$set": values | {"origins": _origins(changed.origins)}}


def _fields(host: Host) -> Document:
    fields: Document = msgspec.to_builtins(host, builtin_types=(datetime,))
    return fields


def _origins(origins: Origins) -> Document:
    found: Document = msgspec.to_builtins(dict(origins), builtin_types=(datetime,))
    return found


def to_record(document: Document) -> HostRecord:
    if "user_key" not in document:
        return HostRecord(to_host(document), None)
    enrolment = Enrolment(
        user_key=document["user_key"],
        box_key=document["box_key"],
        join_token=document["join_token"],
        issued_at=document["issued_at"],
        credentials_until=int(document["credentials_until"].timestamp()),
    )
    return HostRecord(to_host(document), enrolment)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
