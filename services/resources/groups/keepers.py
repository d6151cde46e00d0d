"""Asks the services that keep names of groups, before one is deleted: whoever gave the name to another group later
would else hand on variables, accounts and bounds that were meant for this one."""

import asyncio

from contracts.groups import GroupRef, uses_of_group
from runtime.bus import Bus

KEEPERS = ("config", "gateway")


class Keepers:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def uses(self, group: str) -> list[str]:
        """What names the group elsewhere. Raises Unavailable if one of them cannot be asked."""
        asked = GroupRef(name=group)
        told = await asyncio.gather(*(self._bus.call(uses_of_group(each), asked) for each in KEEPERS))
        return [use for each in told for use in each.uses]
