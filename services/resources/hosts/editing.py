"""Changing hosts: what a person, an import or the end of a job makes of them, held to what exists, with its history.

A change and its entry in the history are one transaction. Presence writes into the same documents all the time, and a
transaction that meets such a write begins anew; so one of them holds few hosts.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from contracts.edits import Change, HostEvent
from contracts.errors import Invalid, ServiceError
from contracts.hosts import Host
from contracts.topology import Attribute
from runtime.mongo import Database, Session, now, together
from services.resources.attributes import model as attributes
from services.resources.attributes.store import AttributeStore
from services.resources.history import model as history
from services.resources.history.model import Author
from services.resources.history.store import HistoryStore
from services.resources.hosts.criteria import Condition
from services.resources.hosts.document import Changed, HostRecord, Origins
from services.resources.hosts.store import HostStore
from services.resources.topology import model as topology
from services.resources.topology.model import Spot
from services.resources.topology.store import PlaceStore

TOGETHER = 100
"""Hosts of one transaction."""

Decide = Callable[[Host], Host]
"""What becomes of a host; the same object if it stays as it is. May be called again, and may raise a ServiceError."""


@dataclass(frozen=True)
class Manner:
    author: Author
    visible: Condition = field(default_factory=dict)
    dry_run: bool = False
    make_places: bool = False
    """Places that do not exist are made, instead of refusing them."""


@dataclass(frozen=True)
class Edit:
    """What became of one host."""

    before: Host
    after: Host
    changes: list[Change]
    refusal: ServiceError | None = None


class HostEditor:
    def __init__(
        self, database: Database, hosts: HostStore, history: HistoryStore, places: PlaceStore, declared: AttributeStore
    ) -> None:
        self._database, self._hosts, self._history = database, hosts, history
        self._places, self._declared = places, declared

    async def edit(self, hosts: Sequence[str], decide: Decide, manner: Manner) -> list[Edit]:
        """One for each of the hosts that exists and is visible, in the order of the ids."""
        edits: list[Edit] = []
        for start in range(0, len(hosts), TOGETHER):
            some = hosts[start : start + TOGETHER]

            async def work(session: Session, some: Sequence[str] = some) -> list[Edit]:
                return await self._edit(some, decide, manner, session)

            edits += await together(self._database, work)
        return edits

    async def create(self, edits: Sequence[Edit], author: Author) -> None:
        """Hosts that nobody knew: no agent is there, and nobody else can write them yet."""

        def build() -> tuple[list[tuple[HostRecord, Origins]], list[HostEvent]]:
            records: list[tuple[HostRecord, Origins]] = []
            events: list[HostEvent] = []
            for edit in edits:
                at = edit.after.created_at
                origins = history.traced({}, edit.changes, author.origin(at))
                records.append((HostRecord(edit.after, None), origins))
                events.append(history.event(edit.after, edit.changes, author, at))
            return records, events

        records, events = await asyncio.to_thread(build)

        async def work(session: Session) -> None:
            await self._hosts.add(records, session)
            await self._history.add(events, session)

        await together(self._database, work)

    async def _edit(self, hosts: Sequence[str], decide: Decide, manner: Manner, session: Session) -> list[Edit]:
        found = await self._hosts.traced(hosts, manner.visible, session)
        decided = [_decided(each.host, decide) for each in found]
        edits = await self.checked(decided, manner, session)
        author = manner.author
        changed = [
            Changed(edit.before, edit.after, history.traced(each.origins, edit.changes, author.origin(at)))
            for each, edit in zip(found, edits, strict=True)
            if edit.changes and (at := edit.after.changed_at) is not None
        ]
        if changed and not manner.dry_run:
            await self._hosts.save(changed, session)
            events = [
                history.event(edit.after, edit.changes, author, edit.after.changed_at or now())
                for edit in edits
                if edit.changes
            ]
            await self._history.add(events, session)
        return edits

    async def checked(self, edits: Sequence[Edit], manner: Manner, session: Session | None = None) -> list[Edit]:
        """The same, with refusals of hosts that would be in places or have attributes which do not exist."""
        wanted = {edit.after.id: topology.spots(edit.after) - topology.spots(edit.before) for edit in edits}
        known = await self._places.known(set().union(*wanted.values()), session)
        declared = await self._declared.declared(session) if any(map(_new_attributes, edits)) else {}
        checked, missing = [], set()
        for edit in edits:
            lacking = wanted[edit.after.id] - known
            refusal = edit.refusal or _misfit(edit, declared, lacking if manner.make_places else ())
            if refusal is None and lacking and not manner.make_places:
                refusal = await self._missing(min(lacking))
            if refusal is None:
                missing |= lacking
            checked.append(edit if refusal is None else Edit(edit.before, edit.before, [], refusal))
        if missing and not manner.dry_run:
            await self._places.ensure(missing, manner.author.by)
        return checked

    async def _missing(self, spot: Spot) -> Invalid:
        return topology.missing(spot, await self._places.paths(spot.kind))


def _misfit(edit: Edit, declared: Mapping[str, Attribute], places: Iterable[Spot]) -> ServiceError | None:
    try:
        attributes.check(_new_attributes(edit), declared)
        for spot in places:
            topology.check(spot)
    except Invalid as error:
        return error
    return None


def stays(host: Host, decide: Decide) -> bool:
    """Whether the host as it is here would be left as it is."""
    decided = _decided(host, decide)
    return decided.refusal is None and not decided.changes


def _decided(before: Host, decide: Decide) -> Edit:
    try:
        after = decide(before)
    except ServiceError as error:
        return Edit(before, before, [], error)
    return Edit(before, after, [] if after is before else history.differences(before, after))


def _new_attributes(edit: Edit) -> dict[str, attributes.Value]:
    return {
        name: value
        for name, value in edit.after.attributes.items()
        if name not in edit.before.attributes or edit.before.attributes[name] != value
    }
