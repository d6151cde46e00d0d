"""What here names a group; asked before one is deleted."""

from contracts.groups import GroupRef, GroupUses
from contracts.people import Principal
from services.config.accounts.store import AccountStore
from services.config.variables.store import VariableStore


class GroupNaming:
    def __init__(self, accounts: AccountStore, variables: VariableStore) -> None:
        self._accounts, self._variables = accounts, variables

    async def uses(self, request: GroupRef, _: Principal) -> GroupUses:
        named = [f"the account {alias}" for alias in await self._accounts.naming(request.name)]
        if await self._variables.has_keys(f"group:{request.name}"):
            named.append("its own variables")
        return GroupUses(uses=tuple(named))
