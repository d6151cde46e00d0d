"""A person as the gateway knows them. Pure."""

from dataclasses import dataclass
from datetime import datetime

from contracts.people import Person, Principal
from contracts.permissions import Role


@dataclass(frozen=True, kw_only=True)
class KnownPerson:
    name: str
    password_hash: str
    roles: tuple[Role, ...]
    created_at: datetime
    disabled: bool = False
    version: int = 1
    """Counts what ends sessions; a session remembers the version it began with."""

    def shown(self) -> Person:
        return Person(name=self.name, roles=self.roles, created_at=self.created_at, disabled=self.disabled)

    def as_principal(self, via: str) -> Principal:
        return Principal(
            kind="person", name=self.name, roles=self.roles, via="session" if via == "session" else "token"
        )
