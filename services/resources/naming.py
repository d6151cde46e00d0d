"""What here names something that is kept here or by other services; asked before that is deleted."""

from contracts.names import NameRef, NameUses
from contracts.people import Principal
from services.resources.collectors.store import CollectorStore
from services.resources.integrations.store import IntegrationStore


class Naming:
    def __init__(self, integrations: IntegrationStore, collectors: CollectorStore) -> None:
        self._integrations, self._collectors = integrations, collectors

    async def uses(self, request: NameRef, _: Principal) -> NameUses:
        integrations = await self._integrations.naming(request.kind, request.name)
        collectors = await self._collectors.naming(request.kind, request.name)
        named = [
            *(f"the integration {each}" for each in integrations),
            *(f"the collector {each}" for each in collectors),
        ]
        return NameUses(uses=tuple(named))
