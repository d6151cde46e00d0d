"""Challenges in MongoDB, and the one transaction in which a host is admitted."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from pymongo import ASCENDING, IndexModel

from contracts.edits import OriginKind
from contracts.errors import Forbidden, Invalid
from runtime.mongo import Database, DuplicateKeyError, Session, together
from services.resources.enrolment.credentials import Credentials, Issue
from services.resources.enrolment.model import Applicant, admitted, adopted
from services.resources.history.model import Author, differences, event, traced
from services.resources.history.store import HistoryStore
from services.resources.hosts.document import HostRecord, Traced
from services.resources.hosts.store import HostStore, Revoked
from services.resources.join_tokens.store import JoinTokenStore
from services.resources.revocations.ending import Ending
from services.resources.revocations.store import RevocationStore

TRIES = 3


class ChallengeStore:
    def __init__(self, database: Database) -> None:
        self._challenges = database["challenges"]

    async def prepare(self) -> None:
        await self._challenges.create_indexes([IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0)])

    async def add(self, nonce: str, user_key: str, expires_at: datetime) -> None:
        await self._challenges.insert_one(
            {"_id": nonce, "user_key": user_key, "expires_at": expires_at, "host": None, "proof": None}
        )

    async def admitted(self, applicant: Applicant, session: Session | None = None) -> str | None:
        """The host that this very request became, if its answer was lost and it comes again."""
        which = {"_id": applicant.nonce, "proof": applicant.proof, **_lives()}
        found = await self._challenges.find_one(which, session=session)
        return found["host"] if found else None

    async def settle(self, nonce: str, host: str, session: Session) -> None:
        """The challenge was spent for a host that has another id."""
        await self._challenges.update_one({"_id": nonce}, {"$set": {"host": host}}, session=session)

    async def spend(self, applicant: Applicant, session: Session) -> bool:
        """Use the challenge up; False if there is none that this key may use now."""
        done = await self._challenges.update_one(
            {"_id": applicant.nonce, "user_key": applicant.user_key, "host": None, **_lives()},
            {"$set": {"host": applicant.host, "proof": applicant.proof}},
            session=session,
        )
        return done.modified_count == 1


def _lives() -> dict[str, object]:
    return {"expires_at": {"$gt": datetime.now(UTC)}}


@dataclass(frozen=True)
class Admitted:
    record: HostRecord
    join_token: str
    issue: Issue
    replaced: tuple[HostRecord, ...]
    """The host that had this key before, revoked now."""


class AdmissionStore:
    """Spends the challenge and one use of the token, ends the key's earlier host and adds the new one: all or nothing.

    All hosts of one token write the same document. Admitting one after the other inside this process keeps their
    transactions from failing each other; between processes MongoDB makes one of two try again.
    """

    def __init__(
        self,
        database: Database,
        hosts: HostStore,
        challenges: ChallengeStore,
        tokens: JoinTokenStore,
        revocations: RevocationStore,
        ending: Ending,
        history: HistoryStore,
        *,
        idcs: Collection[str],
    ) -> None:
        """`idcs` are those that have a relay: a host of another one could never connect."""
        self._idcs = idcs
        self._database = database
        self._hosts, self._challenges, self._tokens = hosts, challenges, tokens
        self._revocations, self._ending, self._history = revocations, ending, history
        self._one_at_a_time = asyncio.Lock()

    async def admit(self, applicant: Applicant, credentials: Credentials) -> Admitted | HostRecord:
        """The host as it was admitted, or as it is if this very request had been under way twice and was admitted by
        the other one. Raises Forbidden or Invalid."""

        async def work(session: Session) -> Admitted | HostRecord:
            return await self._admit(session, applicant, credentials)

        async with self._one_at_a_time:
            for attempt in range(1, TRIES + 1):
                try:
                    return await together(self._database, work)
                except DuplicateKeyError:
                    # Another instance admitted the same key just now; the next attempt sees that host and ends it.
                    if attempt == TRIES:
                        raise
        raise AssertionError("every attempt returns or raises")

    async def _admit(self, session: Session, applicant: Applicant, credentials: Credentials) -> Admitted | HostRecord:
        now = datetime.now(UTC)
        if not await self._challenges.spend(applicant, session):
            # Asked in this very snapshot: outside of it the other one's commit may not be seen yet.
            known = await self._challenges.admitted(applicant, session)
            if known is not None and (record := await self._hosts.get(known, session=session)) is not None:
                return record
            raise Forbidden(
                "enrol.challenge_invalid", "The nonce is unknown, expired, used, or was given to another key."
            )
        admission = await self._tokens.use(applicant.token_sha256, session)
        if admission is None:
            raise Forbidden("join.token_invalid", "The join token is unknown, expired, withdrawn or used up.")
        if admission.given.idc not in self._idcs:
            raise Invalid("idc.unknown", f"The IDC {admission.given.idc} of this join token has no relay any more.")
        revoked = Revoked(by=applicant.host, why="its key enrolled anew", at=now)
        replaced = [
            await self._ending.end_within(session, host, revoked)
            for host in await self._hosts.ids_of_key(applicant.user_key, session)
        ]
        after = await self._revocations.issued_until(applicant.user_key, session)
        issue = credentials.next(now=now.timestamp(), after=after)
        record = admitted(applicant, admission, issue, now)
        waiting = await self._hosts.waiting_for(record.host, session)
        author = Author(OriginKind.JOIN_TOKEN, admission.token, "enrolment")
        if len(waiting) == 1:  # of several nobody can say which it is
            record = await self._adopt(waiting[0], record, author, session)
            await self._challenges.settle(applicant.nonce, record.host.id, session)
        else:
            changes = differences(None, record.host)
            await self._hosts.add([(record, traced({}, changes, author.origin(now)))], session)
            await self._history.add([event(record.host, changes, author, now)], session)
        return Admitted(record, admission.token, issue, tuple(each for each in replaced if each is not None))

    async def _adopt(self, waiting: Traced, enrolled: HostRecord, author: Author, session: Session) -> HostRecord:
        """The host that was imported is there now: it keeps its id, and what is known of it."""
        record = adopted(waiting.host, enrolled)
        at = enrolled.host.created_at
        changes = differences(waiting.host, record.host)
        await self._hosts.adopt(record, traced(waiting.origins, changes, author.origin(at)), session)
        await self._history.add([event(record.host, changes, author, at)], session)
        return record
