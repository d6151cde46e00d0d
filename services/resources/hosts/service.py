"""What people do with hosts: look, and change what they entered. Each public method is one use case."""

import asyncio
import time

import structlog

from contracts.errors import Conflict, NotFound
from contracts.hosts import (
    ChangeHost,
    Host,
    HostChanged,
    HostRef,
    Hosts,
    ListHosts,
    change_host,
    host_changed,
    list_hosts,
    show_host,
)
from contracts.people import Principal
from runtime.audit import note
from runtime.authorize import scopes
from runtime.bus import Bus
from runtime.mongo import now
from runtime.paging import fitting
from runtime.revisions import marks, moved_on
from services.resources.groups.reader import GroupReader
from services.resources.history.model import Author, step, values
from services.resources.history.store import HistoryStore
from services.resources.hosts import model
from services.resources.hosts.criteria import Condition
from services.resources.hosts.document import at
from services.resources.hosts.editing import HostEditor, Manner
from services.resources.hosts.store import HostStore
from services.resources.hosts.visibility import check_business

log = structlog.get_logger()


class HostService:
    def __init__(
        self,
        hosts: HostStore,
        history: HistoryStore,
        groups: GroupReader,
        editor: HostEditor,
        bus: Bus,
        *,
        window_s: float,
    ) -> None:
        """A host is online if it was heard within the last `window_s` seconds."""
        self._hosts, self._history, self._groups, self._editor = hosts, history, groups, editor
        self._bus, self._window_s = bus, window_s

    async def list(self, request: ListHosts, principal: Principal) -> Hosts:
        language = await self._groups.language(scopes(principal, list_hosts.needs), [request.where])
        heard_after = self._heard_after()
        found = await self._hosts.page(request, language, language.visible(), heard_after=at(heard_after))
        page = [model.with_presence(host, heard_after=heard_after) for host in found[: request.limit]]
        fits = await asyncio.to_thread(fitting, page)
        return Hosts(hosts=fits, next=fits[-1].id if len(found) > len(fits) else "")

    async def show(self, request: HostRef, principal: Principal) -> Host:
        visible = await self._groups.visible(scopes(principal, show_host.needs))
        return model.with_presence(await self._get(request.host, visible), heard_after=self._heard_after())

    async def change(self, request: ChangeHost, principal: Principal) -> Host:
        visible = await self._groups.visible(scopes(principal, change_host.needs))

        def decide(host: Host) -> Host:
            asked = model.asked(host, request)
            check_business(principal, host.business, asked.get("business", host.business))
            return model.changed(host, asked, by=principal.name, at=now())

        manner = Manner(Author.person(principal.name), visible)
        edits = await self._editor.edit([request.host], decide, manner)
        if not edits:
            raise unknown(request.host)
        [edit] = edits
        if edit.refusal is not None:
            lost = edit.refusal.reason == model.CHANGED_MEANWHILE
            raise await self._moved_on(request, edit.before) if lost else edit.refusal
        after = edit.after
        if edit.changes:
            note(before=edit.before, after=after)
            log.info("host.changed", host=after.id, revision=after.revision, by=principal.name)
            await self._bus.announce(host_changed, HostChanged(host=after.id, what="changed", revision=after.revision))
        return model.with_presence(after, heard_after=self._heard_after())

    async def _moved_on(self, request: ChangeHost, now: Host) -> Conflict:
        """The refusal of whoever named a revision that is not the newest."""
        seen = request.revision or 0
        past = [step(each) for each in await self._history.between(now.id, seen, now.revision)]
        made = marks(now.revision, now.changed_by or "enrolment", now.changed_at or now.created_at)
        return moved_on(seen, made, values(now), past, model.CHANGED_MEANWHILE, f"the host {now.id}")

    async def _get(self, host: str, visible: Condition) -> Host:
        record = await self._hosts.get(host, visible)
        if record is None:
            raise unknown(host)
        return record.host

    def _heard_after(self) -> float:
        return time.time() - self._window_s


def unknown(host: str) -> NotFound:
    return NotFound("host.unknown", f"There is no host {host}.")
