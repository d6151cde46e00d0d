"""Joining and staying joined. Each public method is one use case."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from contracts.errors import Conflict
from contracts.hosts import (
    AskChallenge,
    Challenge,
    Enrol,
    Enrolled,
    HostChanged,
    RenewCredentials,
    Renewed,
    host_changed,
)
from contracts.people import Principal
from contracts.subjects import HostSubject
from runtime import ids
from runtime.bus import Bus
from services.resources.enrolment import proof
from services.resources.enrolment.credentials import Credentials
from services.resources.enrolment.model import applicant
from services.resources.enrolment.store import AdmissionStore, Admitted, ChallengeStore
from services.resources.hosts.document import HostRecord
from services.resources.hosts.service import unknown
from services.resources.hosts.store import HostStore
from services.resources.revocations.announcer import Announcer

log = structlog.get_logger()

CHALLENGE_S = 300


@dataclass(frozen=True)
class Told:
    """What every new host is told."""

    ca: str
    command_keys: Mapping[str, str]
    relays: Mapping[str, tuple[str, ...]]


class EnrolmentService:
    def __init__(
        self,
        challenges: ChallengeStore,
        admissions: AdmissionStore,
        hosts: HostStore,
        credentials: Credentials,
        announcer: Announcer,
        bus: Bus,
        told: Told,
    ) -> None:
        self._challenges, self._admissions, self._hosts = challenges, admissions, hosts
        self._credentials, self._announcer, self._bus, self._told = credentials, announcer, bus, told

    async def challenge(self, request: AskChallenge, _: Principal) -> Challenge:
        proof.check_user_key(request.user_key)
        nonce = ids.secret()
        await self._challenges.add(nonce, request.user_key, datetime.now(UTC) + timedelta(seconds=CHALLENGE_S))
        return Challenge(nonce=nonce)

    async def enrol(self, request: Enrol, _: Principal) -> Enrolled:
        proof.check(request)
        asks = applicant(request, ids.host_id())
        known = await self._challenges.admitted(asks)
        if known is not None:
            return await self._again(await self._hosts.get(known), known)
        done = await self._admissions.admit(asks, self._credentials)
        if isinstance(done, HostRecord):
            return await self._again(done, done.host.id)
        await self._tell(done)
        host = done.record.host
        jwt = self._credentials.jwt(host.id, host.idc, request.user_key, done.issue)
        return self._enrolled(done.record, jwt)

    async def renew(self, _: RenewCredentials, sender: HostSubject) -> Renewed:
        """The broker vouches for the sender: it has credentials of this host and IDC that are valid now."""
        record = await self._hosts.get(sender.host)
        if record is None or record.host.idc != sender.idc:
            raise unknown(sender.host)
        return Renewed(jwt=await self._issue(record))

    async def _again(self, record: HostRecord | None, host: str) -> Enrolled:
        if record is None:
            raise unknown(host)
        return self._enrolled(record, await self._issue(record))

    async def _issue(self, record: HostRecord) -> str:
        """New credentials for a host that is not revoked. Its key was settled when it enrolled."""
        host, enrolment = record.host, record.enrolment
        if enrolment is None:
            raise unknown(host.id)
        # Never dated before the ones it has: those may be dated ahead, to be later than a revocation of the same key.
        issue = self._credentials.next(now=time.time(), after=enrolment.issued_at - 1)
        if await self._hosts.note_issued(host.id, issued_at=issue.issued_at, until=issue.until) is None:
            raise Conflict("host.revoked", f"{host.id} is revoked. Enrol it as a new host.")
        log.info("credentials.issued", host=host.id, until=issue.until)
        return self._credentials.jwt(host.id, host.idc, enrolment.user_key, issue)

    async def _tell(self, done: Admitted) -> None:
        host = done.record.host
        log.info("host.enrolled", host=host.id, idc=host.idc, join_token=done.join_token)
        for replaced in done.replaced:
            log.info("host.replaced", host=replaced.host.id, by=host.id)
            changed = HostChanged(host=replaced.host.id, what="revoked", revision=replaced.host.revision)
            await self._bus.announce(host_changed, changed)
        if done.replaced:
            await self._announcer.want()
        await self._bus.announce(host_changed, HostChanged(host=host.id, what="enrolled", revision=host.revision))

    def _enrolled(self, record: HostRecord, jwt: str) -> Enrolled:
        host = record.host
        return Enrolled(
            host=host.id,
            idc=host.idc,
            jwt=jwt,
            ca=self._told.ca,
            command_keys=dict(self._told.command_keys),
            relays=self._told.relays.get(host.idc, ()),
        )
