"""What a role may hold, and the roles that are always there. Pure."""

from collections.abc import Iterable

import msgspec

from contracts.errors import Invalid
from contracts.permissions import EVERYTHING, INDIVISIBLE, ROLES, Grant, Role, Scope
from contracts.roles import RoleDefinition
from runtime.scopes import refuse_empty

LARGEST = 8 * 1024
"""Bytes of permissions and scope in JSON. They travel with every call of whoever has the role, beside its content."""

GIVEN_TO_PEOPLE = ROLES[Role.ADMIN]

BUILT_IN = {
    role.value: RoleDefinition(name=role.value, permissions=tuple(sorted(permissions)), scope=EVERYTHING, built_in=True)
    for role, permissions in ROLES.items()
}


def check(permissions: Iterable[str], scope: Scope) -> None:
    """Raises Invalid for what cannot be given, or would give nothing."""
    asked = set(permissions)
    if unknown := sorted(asked - GIVEN_TO_PEOPLE):
        raise Invalid(
            "grants.unknown_permission",
            f"There is no permission {unknown[0][:64]!r} for people. There are {', '.join(sorted(GIVEN_TO_PEOPLE))}.",
            {"unknown": [each[:64] for each in unknown[:10]]},
        )
    refuse_empty(scope)
    if scope != EVERYTHING and (whole := sorted(asked & INDIVISIBLE)):
        raise Invalid(
            "grants.indivisible", f"{whole[0]} knows no bounds: who has it decides over all. Give it without a scope."
        )
    if len(msgspec.json.encode(Grant(permissions=tuple(asked), scope=scope))) > LARGEST:
        raise Invalid("grants.too_large", f"Permissions and scope are longer than {LARGEST // 1024} KiB. Use a group.")


def page(custom: Iterable[RoleDefinition], after: str, limit: int) -> list[RoleDefinition]:
    """`custom` are those after `after`, up to `limit` of them; the built-in ones are sorted in."""
    built_in = (role for name, role in BUILT_IN.items() if name > after)
    return sorted([*custom, *built_in], key=lambda role: role.name)[:limit]
