"""What can be done with sessions. Each public method is one use case."""

import secrets
from datetime import UTC, datetime

import msgspec
import structlog

from contracts.errors import NotFound, Unauthenticated
from contracts.people import Nothing, PersonRef, Principal
from contracts.sessions import ListSessions, ListSessionsOf, RevokedSessions, SessionOf, SessionRef
from contracts.sessions import Sessions as SessionsPage
from runtime.ids import secret
from runtime.signing import sha256
from services.gateway.people.model import KnownPerson
from services.gateway.people.passwords import Passwords
from services.gateway.people.store import PeopleStore
from services.gateway.roles.store import RoleStore
from services.gateway.sessions.lockout import Lockout
from services.gateway.sessions.model import SEEN_EVERY, Session, readable
from services.gateway.sessions.store import SessionStore
from services.gateway.tokens.tokens import yourself

log = structlog.get_logger()


class Sessions:
    def __init__(
        self, store: SessionStore, people: PeopleStore, roles: RoleStore, passwords: Passwords, lockout: Lockout
    ) -> None:
        self._store, self._people, self._roles = store, people, roles
        self._passwords, self._lockout = passwords, lockout

    async def attempt(self, name: str, address: str) -> str:
        """What `log_in` wants. Raises the refusal with 429."""
        return await self._lockout.begin(name, address)

    async def log_in(
        self, attempt: str, name: str, password: str, address: str, user_agent: str
    ) -> tuple[str, Principal]:
        """A new session's cookie, and who it is. Raises Unauthenticated.

        Unknown, disabled and mistyped take the same work and get the same answer.
        """
        person = await self._people.find(name)
        known = None if person is None or person.disabled else person.password_hash
        if not await self._passwords.verify(known, password) or person is None:
            log.info("login.failed", address=address)
            raise Unauthenticated("auth.wrong_password", "Name or password is wrong.")
        await self._lockout.succeeded(attempt)
        await self._strengthen(person, password)
        cookie = secret()
        now = datetime.now(UTC)
        session = Session(
            key=_key(cookie),
            id=f"s-{secrets.token_hex(6)}",
            person=name,
            version=person.version,
            created_at=now,
            seen_at=now,
            address=address,
            user_agent=readable(user_agent),
        )
        await self._store.add(session)
        log.info("login.succeeded", person=name, address=address)
        principal = await self._principal(person, session)
        return cookie, msgspec.structs.replace(principal, address=address)

    async def principal(self, cookie: str, *, active: bool) -> Principal | None:
        """Whom the cookie speaks for, if anybody. `active`: somebody is at work, so the idle time begins anew."""
        session = await self._store.find(_key(cookie))
        if session is None:
            return None
        now = datetime.now(UTC)
        person = await self._people.find(session.person)
        if person is None or not session.is_of(person, now):
            return None
        if active and now - session.seen_at >= SEEN_EVERY:
            await self._store.seen(session.key, now)
        return await self._principal(person, session)

    async def log_out(self, cookie: str) -> None:
        await self._store.remove(_key(cookie))

    async def list(self, request: ListSessions, principal: Principal) -> SessionsPage:
        return await self._page(yourself(principal), request, principal)

    async def list_of(self, request: ListSessionsOf, principal: Principal) -> SessionsPage:
        return await self._page(request.name, request, principal)

    async def revoke(self, request: SessionRef, principal: Principal) -> RevokedSessions:
        return await self._revoke(yourself(principal), request.id, principal)

    async def revoke_of(self, request: SessionOf, principal: Principal) -> RevokedSessions:
        return await self._revoke(request.name, request.id, principal)

    async def revoke_others(self, _: Nothing, principal: Principal) -> RevokedSessions:
        """With a token there is no current session, so all end."""
        return await self._revoke_all(yourself(principal), principal, but=principal.credential)

    async def revoke_all_of(self, request: PersonRef, principal: Principal) -> RevokedSessions:
        return await self._revoke_all(request.name, principal)

    async def _page(self, person: str, request: ListSessions | ListSessionsOf, principal: Principal) -> SessionsPage:
        known = await self._people.get(person)
        found = await self._store.page(known, datetime.now(UTC), request.after, request.limit)
        more = found[-1].id if len(found) == request.limit else ""
        return SessionsPage(sessions=[each.shown(principal.credential) for each in found], next=more)

    async def _revoke(self, person: str, id_: str, principal: Principal) -> RevokedSessions:
        await self._people.get(person)
        if not await self._store.revoke(person, id_):
            raise NotFound("session.unknown", f"{person} has no session of that id.")
        log.info("session.revoked", person=person, session=id_, by=principal.name)
        return RevokedSessions(revoked=1)

    async def _revoke_all(self, person: str, principal: Principal, *, but: str = "") -> RevokedSessions:
        await self._people.get(person)
        revoked = await self._store.revoke_all(person, but=but)
        log.info("session.revoked", person=person, sessions=revoked, by=principal.name)
        return RevokedSessions(revoked=revoked)

    async def _principal(self, person: KnownPerson, session: Session) -> Principal:
        return person.as_principal("session", session.id, await self._roles.grants(person.roles))

    async def _strengthen(self, person: KnownPerson, password: str) -> None:
        """The one moment at which the password is here to be hashed with today's settings."""
        if self._passwords.outdated(person.password_hash):
            new = await self._passwords.hash(password)
            await self._people.strengthen(person.name, person.password_hash, new)


def _key(cookie: str) -> str:
    return sha256(cookie.encode(errors="replace"))
