"""A person changes their own password. Whoever only found a session open must not: the old one is asked for."""

from contracts.errors import Forbidden
from contracts.people import ChangeOwnPassword, Person, Principal, SetPassword
from services.gateway.people.passwords import Passwords
from services.gateway.people.people import People
from services.gateway.people.store import PeopleStore
from services.gateway.sessions.lockout import Lockout
from services.gateway.sessions.store import SessionStore
from services.gateway.tokens.tokens import yourself


class OwnPassword:
    def __init__(
        self, people: People, store: PeopleStore, sessions: SessionStore, passwords: Passwords, lockout: Lockout
    ) -> None:
        self._people, self._store, self._sessions = people, store, sessions
        self._passwords, self._lockout = passwords, lockout

    async def change(self, request: ChangeOwnPassword, principal: Principal) -> Person:
        """Tokens and all sessions but this one end. A wrong old password counts as a failed login."""
        person = await self._store.get(yourself(principal))
        attempt = await self._lockout.begin(person.name, principal.address)
        if not await self._passwords.verify(person.password_hash, request.old):
            raise Forbidden("person.wrong_old_password", "The old password is wrong.")
        await self._lockout.succeeded(attempt)
        new = SetPassword(name=person.name, password=request.new, revision=person.revision)
        changed = await self._people.set_password(new, principal)
        await self._sessions.go_on(await self._store.get(person.name), principal.credential)
        return changed
