"""Whoever enrols, and the host it becomes. Pure."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from contracts.hosts import Enrol, Host, HostFacts, Presence
from runtime.signing import sha256
from services.resources.enrolment.credentials import Issue
from services.resources.hosts.document import Enrolment, HostRecord
from services.resources.hosts.model import addresses, canonical_hostname
from services.resources.join_tokens.store import Admission


@dataclass(frozen=True)
class Applicant:
    """Somebody whose proof was found good, and the id that the host will have if it is admitted."""

    host: str
    nonce: str
    user_key: str
    box_key: str
    token_sha256: str
    proof: str
    """sha256 of nonce, keys, token and signature: the same request again has the same."""
    facts: HostFacts


def applicant(request: Enrol, host: str) -> Applicant:
    signed = "\n".join((request.nonce, request.user_key, request.box_key, request.token, request.signature))
    return Applicant(
        host=host,
        nonce=request.nonce,
        user_key=request.user_key,
        box_key=request.box_key,
        token_sha256=sha256(request.token.encode()),
        proof=sha256(signed.encode()),
        facts=request.facts,
    )


def admitted(applicant: Applicant, admission: Admission, issue: Issue, now: datetime) -> HostRecord:
    given = admission.given
    host = Host(
        id=applicant.host,
        hostname=canonical_hostname(applicant.facts.hostname),
        ips=addresses(applicant.facts),
        idc=given.idc,
        host_class=given.host_class,
        state=given.state,
        business=given.business,
        product_line=given.product_line,
        tags=given.tags,
        labels=given.labels,
        facts=applicant.facts,
        presence=Presence(),
        created_at=now,
        revision=1,
        changed_by=f"join token {admission.token}",
        changed_at=now,
    )
    enrolment = Enrolment(
        user_key=applicant.user_key,
        box_key=applicant.box_key,
        join_token=admission.token,
        issued_at=issue.issued_at,
        credentials_until=issue.until,
    )
    return HostRecord(host, enrolment)


def adopted(waiting: Host, enrolled: HostRecord) -> HostRecord:
    """The record that waited, with its agent. What was known of it stays; the join token fills the rest."""
    given = enrolled.host
    host = msgspec.structs.replace(
        waiting,
        hostname=given.hostname,
        ips=given.ips,
        facts=given.facts,
        agent=True,
        business=waiting.business or given.business,
        product_line=waiting.product_line if waiting.business else given.product_line,
        tags=waiting.tags or given.tags,
        labels={**given.labels, **waiting.labels},
        revision=waiting.revision + 1,
        changed_by=given.changed_by,
        changed_at=given.changed_at,
    )
    return HostRecord(host, enrolled.enrolment)
