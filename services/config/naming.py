"""What here names something that other services keep; asked before that is deleted."""

from collections.abc import Mapping

from contracts.names import NameKind, NameRef, NameUses
from contracts.people import Principal
from services.config.accounts.store import AccountStore
from services.config.variables.store import VariableStore

FIELDS: Mapping[NameKind, tuple[str, ...]] = {NameKind.GROUP: ("groups", "default_for"), NameKind.ROLE: ("roles",)}
"""Fields of an account that hold such names."""


class Naming:
    def __init__(self, accounts: AccountStore, variables: VariableStore) -> None:
        self._accounts, self._variables = accounts, variables

    async def uses(self, request: NameRef, _: Principal) -> NameUses:
        fields = FIELDS.get(request.kind, ())
        named = [f"the account {alias}" for alias in await self._accounts.naming(fields, request.name)]
        if request.kind is NameKind.GROUP and await self._variables.has_keys(f"group:{request.name}"):
            named.append("its own variables")
        return NameUses(uses=tuple(named))
