"""Names that one service keeps and others write down: which exist, and what would mean another thing if one came again.

Services ask each other; people never see these calls.
"""

from enum import StrEnum

from msgspec import Struct

from contracts.kinds import Call


class NameKind(StrEnum):
    GROUP = "group"
    BUSINESS = "business"
    INTEGRATION = "integration"
    ACCOUNT = "account"
    PERSON = "person"
    ROLE = "role"


KEPT_BY = {
    NameKind.GROUP: "resources",
    NameKind.BUSINESS: "resources",
    NameKind.INTEGRATION: "resources",
    NameKind.ACCOUNT: "config",
    NameKind.PERSON: "gateway",
    NameKind.ROLE: "gateway",
}
USED_BY = {
    NameKind.GROUP: ("config", "gateway", "resources"),
    NameKind.BUSINESS: ("gateway", "resources"),
    NameKind.ACCOUNT: ("gateway", "resources"),
    NameKind.ROLE: ("config",),
}
"""Services that write such names down; those kinds that are not here are never deleted."""
SEEN_WITH = {
    NameKind.GROUP: "groups:read",
    NameKind.BUSINESS: "hosts:read",
    NameKind.INTEGRATION: "integrations:manage",
    NameKind.ACCOUNT: "accounts:read",
    NameKind.PERSON: "people:manage",
    NameKind.ROLE: "people:manage",
}
"""The permission to see what else is called so."""


class AskNames(Struct, frozen=True, kw_only=True):
    kind: NameKind
    names: tuple[str, ...]
    near: bool = False
    """Whether names that are near to those which do not exist may be told."""


class UnknownName(Struct, frozen=True, kw_only=True):
    name: str
    near: tuple[str, ...] = ()


class UnknownNames(Struct, frozen=True, kw_only=True):
    """Those that do not exist."""

    unknown: list[UnknownName]


class NameRef(Struct, frozen=True, kw_only=True):
    kind: NameKind
    name: str


class NameUses(Struct, frozen=True, kw_only=True):
    uses: tuple[str, ...]
    """What would mean something else if this name were given again, such as `the account deploy`."""


def unknown_names(service: str) -> Call[AskNames, UnknownNames]:
    """For whoever is about to write names down."""
    return Call(f"{service}.names.unknown", AskNames, UnknownNames, needs="names:ask", idempotent=True, reads=True)


def uses_of_name(service: str) -> Call[NameRef, NameUses]:
    """For whoever is about to delete what has the name."""
    return Call(f"{service}.names.uses", NameRef, NameUses, needs="names:ask", idempotent=True, reads=True)
