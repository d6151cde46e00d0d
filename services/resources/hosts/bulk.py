"""Changing many hosts at once: one use case."""

import msgspec
import structlog

from contracts.edits import BulkEdit, EditOutcome, HostEdit, HostEdits, edit_hosts
from contracts.errors import Invalid
from contracts.hosts import Host, HostChanged, host_changed
from contracts.people import Principal
from runtime.authorize import scopes
from runtime.bus import Bus
from runtime.mongo import now
from runtime.paging import MOST_PAGE_BYTES
from services.resources.groups.reader import GroupReader
from services.resources.history.model import Author
from services.resources.hosts import model
from services.resources.hosts.criteria import criteria
from services.resources.hosts.editing import TOGETHER, Edit, HostEditor, Manner
from services.resources.hosts.store import HostStore
from services.resources.hosts.visibility import check_business

log = structlog.get_logger()

_BESIDE_BYTES = 400
"""Of an edit, beside its changes."""


class BulkService:
    def __init__(self, hosts: HostStore, groups: GroupReader, editor: HostEditor, bus: Bus) -> None:
        self._hosts, self._groups, self._editor, self._bus = hosts, groups, editor, bus

    async def edit(self, request: BulkEdit, principal: Principal) -> HostEdits:
        language = await self._groups.language(scopes(principal, edit_hosts.needs), [request.filter.where])
        asked = criteria(request.filter, language)
        if not asked:
            raise Invalid("targets.none_asked", "No hosts are named. Name hosts, an IDC, a tag and so on.")
        conditions = (language.visible(), *(each.condition for each in asked))
        found = await self._hosts.ids(conditions, after=request.after, limit=request.limit)
        page = found[: request.limit]

        def decide(host: Host) -> Host:
            values = model.asked_of_many(host, request)
            check_business(principal, host.business, values.get("business", host.business))
            return model.changed(host, values, by=principal.name, at=now())

        manner = Manner(Author.person(principal.name), language.visible(), dry_run=request.dry_run)
        edits: list[Edit] = []
        size = start = 0
        while start < len(page) and size < MOST_PAGE_BYTES // 2:  # what is done must fit into the answer
            some = await self._editor.edit(page[start : start + TOGETHER], decide, manner)
            size += sum(len(msgspec.json.encode(edit.changes)) + _BESIDE_BYTES for edit in some)
            start += TOGETHER
            edits += some
        if not request.dry_run:
            await self._tell(edits, principal)
        more = len(found) > min(start, request.limit)
        return HostEdits(hosts=[_told(each) for each in edits], next=page[:start][-1] if more else "")

    async def _tell(self, edits: list[Edit], principal: Principal) -> None:
        changed = [edit.after for edit in edits if edit.changes]
        log.info("hosts.edited", hosts=len(changed), of=len(edits), by=principal.name)
        for host in changed:
            await self._bus.announce(host_changed, HostChanged(host=host.id, what="changed", revision=host.revision))


def _told(edit: Edit) -> HostEdit:
    outcome = EditOutcome.CHANGED if edit.changes else EditOutcome.UNCHANGED
    return HostEdit(
        host=edit.after.id,
        hostname=edit.after.hostname,
        outcome=EditOutcome.REFUSED if edit.refusal else outcome,
        revision=edit.after.revision,
        changes=edit.changes,
        reason=edit.refusal.reason if edit.refusal else "",
        message=edit.refusal.message if edit.refusal else "",
    )
