"""A host ends together with its credentials, or not at all."""

from runtime.mongo import Database, Session, together
from services.resources.hosts.document import HostRecord, at
from services.resources.hosts.store import HostStore, Revoked
from services.resources.revocations.store import Revocation, RevocationStore


class Ending:
    def __init__(self, database: Database, hosts: HostStore, revocations: RevocationStore) -> None:
        self._database, self._hosts, self._revocations = database, hosts, revocations

    async def end(self, host: str, revoked: Revoked) -> HostRecord | None:
        """None if the host is unknown or has ended already."""

        async def work(session: Session) -> HostRecord | None:
            return await self.end_within(session, host, revoked)

        return await together(self._database, work)

    async def end_within(self, session: Session, host: str, revoked: Revoked) -> HostRecord | None:
        ended = await self._hosts.revoke(host, revoked, session)
        if ended is None or ended.enrolment is None:
            return ended
        issued = ended.enrolment
        # Another instance may have issued credentials by a clock that is ahead of this one.
        issued_until = max(issued.issued_at, int(revoked.at.timestamp()))
        await self._revocations.add(
            Revocation(issued.user_key, issued_until, needed_until=at(issued.credentials_until)), session
        )
        return ended
