"""Groups in MongoDB, and the catalogue that is made of them.

Every change puts a new mark into one document, in its transaction. So changes happen one after the other, and two that
together would make a cycle cannot both pass; and whoever has the catalogue of the newest mark need not read the groups
again.
"""

import asyncio
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import msgspec

from contracts.groups import Group
from contracts.topology import AttributeType, PlaceKind
from runtime.mongo import Database, Document, Session, together
from runtime.names import COMPARED, Kept
from runtime.revisions import PAST
from services.resources.attributes.store import AttributeStore
from services.resources.expressions.attributes import Kind
from services.resources.groups.catalogue import Catalogue, Stored
from services.resources.groups.expression import Expression, read
from services.resources.topology.store import PlaceStore

READ_EXPRESSIONS = 10_000
NEWEST = "newest"
KINDS = {
    AttributeType.STRING: Kind.TEXT,
    AttributeType.CHOICE: Kind.TEXT,
    AttributeType.INTEGER: Kind.NUMBER,
    AttributeType.BOOLEAN: Kind.YES_NO,
}


@dataclass(frozen=True)
class Surroundings:
    """What groups and expressions may speak of besides."""

    idcs: tuple[str, ...]
    sets: tuple[str, ...]
    declared: dict[str, Kind]


@dataclass(frozen=True)
class Remembered:
    mark: str
    stored: tuple[Stored, ...]
    around: Surroundings
    read: Callable[[str], Expression]
    catalogue: Catalogue


class GroupStore:
    def __init__(self, database: Database, places: PlaceStore, attributes: AttributeStore) -> None:
        self._database, self._places, self._attributes = database, places, attributes
        self._groups, self._marks = database["groups"], database["group_marks"]
        self._remembered: Remembered | None = None

    async def prepare(self) -> None:
        # Made now, since two transactions that both made it would only be in each other's way.
        await self._marks.update_one({"_id": NEWEST}, {"$setOnInsert": {"mark": ""}}, upsert=True)

    async def catalogue(self) -> Catalogue:
        """As the groups are now."""
        newest, around = await asyncio.gather(self._marks.find_one({"_id": NEWEST}), self._look_around())
        return await self._catalogue(newest, around, None)

    @property
    def names(self) -> Kept:
        """Those that exist by themselves too."""

        async def among(names: Collection[str]) -> Collection[str]:
            catalogue = await self.catalogue()
            return {name for name in names if name in catalogue}

        async def some() -> Collection[str]:
            return [each.name for each in (await self.catalogue()).by_name[:COMPARED]]

        return Kept(among, some)

    async def save(self, change: Callable[[Catalogue], Stored]) -> Stored:
        """Write what `change` makes of the catalogue; it may be called again, and may refuse."""

        async def once(session: Session) -> Stored:
            stored = change(await self._next_catalogue(session))
            await self._groups.replace_one(
                {"_id": stored.group.name}, to_document(stored), upsert=True, session=session
            )
            return stored

        return await together(self._database, once)

    async def delete(self, check: Callable[[Catalogue], Stored]) -> Stored:
        """Delete the group that `check` returns; it may be called again, and may refuse."""

        async def once(session: Session) -> Stored:
            stored = check(await self._next_catalogue(session))
            await self._groups.delete_one({"_id": stored.group.name}, session=session)
            return stored

        return await together(self._database, once)

    async def _next_catalogue(self, session: Session) -> Catalogue:
        """The newest one, for the only transaction that changes it now."""
        new = {"$set": {"mark": secrets.token_hex(8)}}
        before = await self._marks.find_one_and_update({"_id": NEWEST}, new, upsert=True, session=session)
        return await self._catalogue(before, await self._look_around(), session)

    async def _catalogue(self, newest: Document | None, around: Surroundings, session: Session | None) -> Catalogue:
        mark, remembered = newest["mark"] if newest else "", self._remembered
        if remembered is not None and (remembered.mark, remembered.around) == (mark, around):
            return remembered.catalogue
        if remembered is not None and remembered.mark == mark:
            stored = remembered.stored
        else:
            documents = await self._groups.find({}, session=session).hint("_id_").to_list(None)
            stored = await asyncio.to_thread(lambda: tuple(map(to_stored, documents)))
        same = remembered is not None and remembered.around.declared == around.declared
        reader = remembered.read if remembered is not None and same else _reader(around.declared)
        catalogue = Catalogue(stored, idcs=around.idcs, sets=around.sets, read=reader)
        self._remembered = Remembered(mark, stored, around, reader, catalogue)
        return catalogue

    async def _look_around(self) -> Surroundings:
        idcs, sets, attributes = await asyncio.gather(
            self._places.paths(PlaceKind.IDC), self._places.paths(PlaceKind.SET), self._attributes.declared()
        )
        return Surroundings(tuple(idcs), tuple(sets), {name: KINDS[each.type] for name, each in attributes.items()})


def new_key() -> str:
    return f"g-{secrets.token_hex(6)}"


def _reader(declared: dict[str, Kind]) -> Callable[[str], Expression]:
    return lru_cache(READ_EXPRESSIONS)(partial(read, declared=declared))


def to_document(stored: Stored) -> Document:
    document: dict[str, Any] = msgspec.structs.asdict(stored.group)
    return {
        "_id": document.pop("name"),
        **document,
        "kind": stored.group.kind.value,
        "tags": list(stored.group.tags),
        "groups": list(stored.group.groups),
        "key": stored.key,
        "uses": list(stored.uses),
        PAST: list(stored.past),
    }


def to_stored(document: Document) -> Stored:
    group = msgspec.convert(document | {"name": document["_id"]}, Group)
    return Stored(group, document["key"], tuple(document["uses"]), tuple(document.get(PAST, ())))
