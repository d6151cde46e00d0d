"""What every scope must be, whatever has it. Pure."""

from collections.abc import Mapping

import msgspec

from contracts.errors import Invalid
from contracts.names import NameKind
from contracts.permissions import Scope

NAMED: Mapping[NameKind, str] = {
    NameKind.GROUP: "groups",
    NameKind.BUSINESS: "businesses",
    NameKind.ACCOUNT: "accounts",
}
"""What a scope names that exists before it is named → the field. A tag exists by being used."""


def refuse_empty(scope: Scope) -> None:
    """Raises Invalid for a bound that nothing meets."""
    if empty := [name for name, bound in msgspec.structs.asdict(scope).items() if bound == ()]:
        raise Invalid(
            "grants.empty_scope",
            f"The bound {empty[0]} lists nothing, so nothing would lie in the scope. Leave it out for no bound.",
            {"field": f"$.scope.{empty[0]}"},
        )


def added(before: Scope, after: Scope) -> dict[NameKind, frozenset[str]]:
    """What the scope names now and did not name before."""
    return {
        kind: frozenset(getattr(after, field) or ()) - frozenset(getattr(before, field) or ())
        for kind, field in NAMED.items()
    }
