"""What can be done with sessions. Each public method is one use case."""

from datetime import UTC, datetime

import structlog

from contracts.errors import Unauthenticated
from contracts.people import Principal
from runtime.ids import secret
from runtime.signing import sha256
from services.gateway.people.model import KnownPerson
from services.gateway.people.passwords import Passwords
from services.gateway.people.store import PeopleStore
from services.gateway.sessions.model import SEEN_EVERY, Session
from services.gateway.sessions.store import SessionStore
from services.gateway.sessions.throttle import Throttle

log = structlog.get_logger()


class Sessions:
    def __init__(self, store: SessionStore, people: PeopleStore, passwords: Passwords, throttle: Throttle) -> None:
        self._store = store
        self._people = people
        self._passwords = passwords
        self._throttle = throttle

    async def log_in(self, name: str, password: str, address: str) -> tuple[str, Principal]:
        """A new session's cookie, and who it is. Raises Unauthenticated, or the refusal with 429.

        Unknown, disabled and mistyped take the same work and get the same answer.
        """
        attempt = await self._throttle.begin(name, address)
        person = await self._people.find(name)
        known = None if person is None or person.disabled else person.password_hash
        if not await self._passwords.verify(known, password) or person is None:
            log.info("login.failed", address=address)
            raise Unauthenticated("auth.wrong_password", "Name or password is wrong.")
        await self._throttle.succeeded(attempt)
        await self._strengthen(person, password)
        cookie = secret()
        now = datetime.now(UTC)
        session = Session(key=_key(cookie), person=name, version=person.version, created_at=now, seen_at=now)
        await self._store.add(session)
        log.info("login.succeeded", person=name, address=address)
        return cookie, person.as_principal("session")

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
        return person.as_principal("session")

    async def log_out(self, cookie: str) -> None:
        await self._store.remove(_key(cookie))

    async def _strengthen(self, person: KnownPerson, password: str) -> None:
        """The one moment at which the password is here to be hashed with today's settings."""
        if self._passwords.outdated(person.password_hash):
            new = await self._passwords.hash(password)
            await self._people.set_password_hash(person.name, person.password_hash, new)


def _key(cookie: str) -> str:
    return sha256(cookie.encode(errors="replace"))
