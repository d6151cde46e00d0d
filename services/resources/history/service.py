"""Asking what became of a host. Each public method is one use case."""

from contracts.edits import HostHistory, HostOrigins, ListHistory, host_history
from contracts.hosts import HostRef
from contracts.people import Principal
from runtime.authorize import scopes
from runtime.paging import fitting
from services.resources.groups.reader import GroupReader
from services.resources.history.model import told
from services.resources.history.store import HistoryStore
from services.resources.hosts.document import Traced
from services.resources.hosts.service import unknown
from services.resources.hosts.store import HostStore


class HistoryService:
    def __init__(self, history: HistoryStore, hosts: HostStore, groups: GroupReader) -> None:
        self._history, self._hosts, self._groups = history, hosts, groups

    async def history(self, request: ListHistory, principal: Principal) -> HostHistory:
        await self._seen(request.host, principal)
        found = await self._history.page(request)
        page = fitting(found[: request.limit])
        return HostHistory(events=page, next=page[-1].id if len(found) > len(page) else "")

    async def origins(self, request: HostRef, principal: Principal) -> HostOrigins:
        found = await self._seen(request.host, principal)
        return HostOrigins(fields=told(found.host, found.origins, found.host.presence.last_seen))

    async def _seen(self, host: str, principal: Principal) -> Traced:
        visible = await self._groups.visible(scopes(principal, host_history.needs))
        found = await self._hosts.traced([host], visible)
        if not found:
            raise unknown(host)
        return found[0]
