"""Revoking a host: from now on its credentials are worth nothing."""

from datetime import UTC, datetime

import structlog

from contracts.hosts import Host, HostChanged, RevokeHost, host_changed, revoke_host
from contracts.people import Principal
from runtime.authorize import scopes
from runtime.bus import Bus
from services.resources.groups.reader import GroupReader
from services.resources.hosts.service import unknown
from services.resources.hosts.store import HostStore, Revoked
from services.resources.revocations.announcer import Announcer
from services.resources.revocations.ending import Ending

log = structlog.get_logger()


class RevocationService:
    def __init__(self, hosts: HostStore, groups: GroupReader, ending: Ending, announcer: Announcer, bus: Bus) -> None:
        self._hosts, self._groups, self._ending, self._announcer, self._bus = hosts, groups, ending, announcer, bus

    async def revoke_host(self, request: RevokeHost, principal: Principal) -> Host:
        """Revoking a revoked host announces it once more, which is what a person who asks twice wants."""
        visible = await self._groups.visible(scopes(principal, revoke_host.needs))
        record = await self._hosts.get(request.host, visible)
        if record is None:
            raise unknown(request.host)
        ended = await self._ending.end(request.host, Revoked(principal.name, request.why, datetime.now(UTC)))
        cut = await self._announcer.announce()
        host = (ended or record).host
        if ended is not None:
            log.info("host.revoked", host=host.id, by=principal.name, cut=cut)
            await self._bus.announce(host_changed, HostChanged(host=host.id, what="revoked", revision=host.revision))
        return host
