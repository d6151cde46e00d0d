"""A host ends together with its credentials, or not at all."""

from runtime.mongo import Database, Session, together
from services.resources.history.model import Author, differences, event
from services.resources.history.store import HistoryStore
from services.resources.hosts.document import HostRecord, at
from services.resources.hosts.store import HostStore, Revoked
from services.resources.revocations.store import Revocation, RevocationStore


class Ending:
    def __init__(
        self, database: Database, hosts: HostStore, revocations: RevocationStore, history: HistoryStore
    ) -> None:
        self._database, self._hosts = database, hosts
        self._revocations, self._history = revocations, history

    async def end(self, host: str, revoked: Revoked) -> HostRecord | None:
        """None if the host is unknown or has ended already."""

        async def work(session: Session) -> HostRecord | None:
            return await self.end_within(session, host, revoked)

        return await together(self._database, work)

    async def end_within(self, session: Session, host: str, revoked: Revoked) -> HostRecord | None:
        before = await self._hosts.traced([host], {}, session)
        ended = await self._hosts.revoke(host, revoked, session)
        if ended is None:
            return None
        changes = differences(before[0].host, ended.host)
        await self._history.add([event(ended.host, changes, Author.person(revoked.by), revoked.at)], session)
        if ended.enrolment is None:
            return ended
        issued = ended.enrolment
        # Another instance may have issued credentials by a clock that is ahead of this one.
        issued_until = max(issued.issued_at, int(revoked.at.timestamp()))
        await self._revocations.add(
            Revocation(issued.user_key, issued_until, needed_until=at(issued.credentials_until)), session
        )
        return ended
