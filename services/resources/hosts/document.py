"""A host as MongoDB keeps it: the contract's Host, and what only this service needs to know. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from contracts.hosts import Host
from services.resources.hosts import addresses

Document = dict[str, Any]


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
    enrolment: Enrolment


def to_document(record: HostRecord, facts_hash: str) -> Document:
    document: Document = msgspec.to_builtins(record.host, builtin_types=(datetime,))
    document["_id"] = document.pop("id")
    return document | {
        addresses.FIELD: addresses.keys(record.host.ips),
        "facts_hash": facts_hash,
        "user_key": record.enrolment.user_key,
        "box_key": record.enrolment.box_key,
        "join_token": record.enrolment.join_token,
        "issued_at": record.enrolment.issued_at,
        "credentials_until": at(record.enrolment.credentials_until),
    }


def to_host(document: Document) -> Host:
    return msgspec.convert(document | {"id": document["_id"]}, Host)


def to_record(document: Document) -> HostRecord:
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
