"""What can be done with people. Each public method is one use case."""

from datetime import UTC, datetime

import msgspec
import structlog

from contracts.errors import Conflict
from contracts.people import CreatePerson, DisablePerson, ListPeople, Nothing, Person, Principal
from contracts.people import People as PeoplePage
from contracts.permissions import Role
from runtime.settings import BadSettings
from services.gateway.people.model import KnownPerson
from services.gateway.people.passwords import Passwords
from services.gateway.people.store import PeopleStore

log = structlog.get_logger()


class People:
    def __init__(self, store: PeopleStore, passwords: Passwords) -> None:
        self._store = store
        self._passwords = passwords

    async def whoami(self, _: Nothing, principal: Principal) -> Principal:
        return principal

    async def create(self, request: CreatePerson, principal: Principal) -> Person:
        person = await self._add(request)
        log.info("person.created", person=person.name, roles=request.roles, by=principal.name)
        return person.shown()

    async def list(self, request: ListPeople, _: Principal) -> PeoplePage:
        found = await self._store.page(request.after, request.limit)
        more = found[-1].name if len(found) == request.limit else ""
        return PeoplePage(people=[person.shown() for person in found], next=more)

    async def disable(self, request: DisablePerson, principal: Principal) -> Person:
        """Sessions and tokens look the person up at every request, so they end with this."""
        person = await self._store.disable(request.name)
        log.info("person.disabled", person=person.name, by=principal.name)
        return person.shown()

    async def make_first_admin(self, name: str, password: str) -> None:
        """If there is nobody yet. Raises BadSettings for a name or password that nobody may have."""
        if await self._store.anybody():
            return
        if not password:
            log.warning("people.nobody", remedy="set GATEWAY_FIRST_ADMIN_PASSWORD_FILE, so that somebody can log in")
            return
        try:
            wanted = msgspec.convert({"name": name, "password": password, "roles": ["admin"]}, CreatePerson)
        except msgspec.ValidationError as error:
            raise BadSettings(f"GATEWAY_FIRST_ADMIN and its password: {error}") from None
        try:
            await self._add(wanted)
        except Conflict:
            return  # another instance of the gateway was faster
        log.info("person.first_admin", person=name)

    async def _add(self, request: CreatePerson) -> KnownPerson:
        person = KnownPerson(
            name=request.name,
            password_hash=await self._passwords.hash(request.password),
            roles=tuple(role for role in Role if role in request.roles),
            created_at=datetime.now(UTC),
        )
        await self._store.add(person)
        return person
