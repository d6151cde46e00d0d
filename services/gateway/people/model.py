"""A person as the gateway knows them. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from contracts.people import Person, Principal
from contracts.permissions import Grant, Role


@dataclass(frozen=True, kw_only=True)
class KnownPerson:
    name: str
    password_hash: str
    roles: tuple[str, ...]
    created_at: datetime
    disabled: bool = False
    version: int = 1
    """Counts what ends sessions and tokens; each remembers the version it began with."""
    revision: int = 1
    changed_by: str
    changed_at: datetime

    @property
    def is_admin(self) -> bool:
        """Whether the person may do everything that people may, now."""
        return Role.ADMIN in self.roles and not self.disabled

    def with_roles(self, roles: tuple[str, ...]) -> "KnownPerson":
        return replace(self, roles=tuple(dict.fromkeys(roles)))

    def switched_off(self) -> "KnownPerson":
        return self if self.disabled else replace(self, disabled=True, version=self.version + 1)

    def switched_on(self) -> "KnownPerson":
        return replace(self, disabled=False)

    def with_password(self, password_hash: str) -> "KnownPerson":
        return replace(self, password_hash=password_hash, version=self.version + 1)

    def shown(self) -> Person:
        return Person(
            name=self.name,
            roles=self.roles,
            created_at=self.created_at,
            disabled=self.disabled,
            revision=self.revision,
            changed_by=self.changed_by,
            changed_at=self.changed_at,
        )

    def as_principal(
        self, via: Literal["session", "token"], credential: str, grants: tuple[Grant, ...] = ()
    ) -> Principal:
        """`grants` are those of the custom ones among the roles."""
        return Principal(kind="person", name=self.name, roles=self.roles, grants=grants, via=via, credential=credential)
