"""What can be done with people. Each public method is one use case."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import structlog

from contracts.errors import Conflict
from contracts.people import (
    ChangePerson,
    CreatePerson,
    DisablePerson,
    EnablePerson,
    ListPeople,
    Nothing,
    Person,
    PersonRef,
    Principal,
    SetPassword,
)
from contracts.people import People as PeoplePage
from runtime.audit import note
from runtime.mongo import Session
from runtime.settings import BadSettings
from services.gateway.guard import Guard
from services.gateway.people.model import KnownPerson
from services.gateway.people.passwords import Passwords
from services.gateway.people.store import PeopleStore
from services.gateway.roles.store import RoleStore

log = structlog.get_logger()


class People:
    def __init__(self, store: PeopleStore, roles: RoleStore, guard: Guard, passwords: Passwords) -> None:
        self._store, self._roles, self._guard = store, roles, guard
        self._passwords = passwords

    async def whoami(self, _: Nothing, principal: Principal) -> Principal:
        return principal

    async def create(self, request: CreatePerson, principal: Principal) -> Person:
        person = await self._add(request, principal.name)
        note(after=person.shown())
        log.info("person.created", person=person.name, roles=request.roles, by=principal.name)
        return person.shown()

    async def list(self, request: ListPeople, _: Principal) -> PeoplePage:
        found = await self._store.page(request.after, request.limit)
        more = found[-1].name if len(found) == request.limit else ""
        return PeoplePage(people=[person.shown() for person in found], next=more)

    async def show(self, request: PersonRef, _: Principal) -> Person:
        return (await self._store.get(request.name)).shown()

    async def change(self, request: ChangePerson, principal: Principal) -> Person:
        """Roles are looked up at every request, so they count from the next one on."""
        changed = await self._change(request, principal, lambda person: person.with_roles(request.roles))
        log.info("person.changed", person=request.name, roles=changed.roles, by=principal.name)
        return changed.shown()

    async def disable(self, request: DisablePerson, principal: Principal) -> Person:
        """Sessions and tokens look the person up at every request, so they end with this."""
        changed = await self._change(request, principal, KnownPerson.switched_off)
        log.info("person.disabled", person=request.name, by=principal.name)
        return changed.shown()

    async def enable(self, request: EnablePerson, principal: Principal) -> Person:
        changed = await self._change(request, principal, KnownPerson.switched_on)
        log.info("person.enabled", person=request.name, by=principal.name)
        return changed.shown()

    async def set_password(self, request: SetPassword, principal: Principal) -> Person:
        new = await self._passwords.hash(request.password)
        changed = await self._change(request, principal, lambda person: person.with_password(new))
        log.info("person.password_set", person=request.name, by=principal.name)
        return changed.shown()

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
            await self._add(wanted, by="first start")
        except Conflict:
            return  # another instance of the gateway was faster
        log.info("person.first_admin", person=name)

    async def _add(self, request: CreatePerson, by: str) -> KnownPerson:
        now = datetime.now(UTC)
        person = KnownPerson(
            name=request.name,
            password_hash=await self._passwords.hash(request.password),
            roles=tuple(dict.fromkeys(request.roles)),
            created_at=now,
            changed_by=by,
            changed_at=now,
        )

        async def work(session: Session) -> None:
            await self._roles.check(person.roles, session)
            await self._store.add(person, session)

        await self._guard.alone(work)
        return person

    async def _change(
        self,
        request: ChangePerson | DisablePerson | EnablePerson | SetPassword,
        principal: Principal,
        change: Callable[[KnownPerson], KnownPerson],
    ) -> KnownPerson:
        """Whatever changes: every role exists, and somebody is left who can add people."""
        at = datetime.now(UTC)

        async def work(session: Session) -> KnownPerson:
            before, after = await self._store.change(
                request.name, request.revision, change, by=principal.name, at=at, session=session
            )
            if after.roles != before.roles:
                await self._roles.check(after.roles, session)
            if before.is_admin and not after.is_admin and not await self._store.any_admin(session):
                raise Conflict(
                    "person.last_admin", f"{request.name} is the last admin, and somebody must be able to add people."
                )
            return after

        return await self._guard.alone(work)
