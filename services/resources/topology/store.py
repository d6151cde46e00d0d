"""Places in MongoDB."""

from collections.abc import Collection, Iterable

import msgspec
from pymongo import ASCENDING, UpdateOne

from contracts.topology import ListPlaces, Place, PlaceKind
from runtime.mongo import Database, Document, DuplicateKeyError, Session, now
from runtime.names import Kept
from runtime.revisions import Revisions, marks
from services.resources.hosts.criteria import Condition, all_of
from services.resources.topology.model import Spot, above, among, hosts_in

COMPARED = 5000
"""Paths among which one is looked for that is near to a wrong one."""
BY_SETTINGS = "settings"


class PlaceStore:
    def __init__(self, database: Database) -> None:
        self._places, self._hosts = database["places"], database["hosts"]
        self.revisions = Revisions(self._places, "place.changed_meanwhile", "{}")

    async def prepare(self, idcs: Collection[str]) -> None:
        """IDCs with a relay exist by themselves."""
        await self.ensure((Spot(PlaceKind.IDC, idc) for idc in idcs), BY_SETTINGS)

    async def get(self, spot: Spot) -> Place | None:
        document = await self._places.find_one({"_id": spot.id})
        return _to_place(document) if document else None

    async def page(self, request: ListPlaces, businesses: Collection[str] | None) -> list[Place]:
        """For somebody who knows these businesses, None being all: up to one place more than asked for, which tells
        that there is a next page."""
        within = {"$gte": f"{request.below}/", "$lt": f"{request.below}0"}  # 0 follows / in every order
        conditions: list[Document] = [
            {"kind": {"$in": list(request.kinds)}} if request.kinds else {},
            {"path": within} if request.below else {},
            {"_id": {"$gt": request.after}} if request.after else {},
            among(businesses),
        ]
        found = self._places.find(all_of(conditions)).sort("_id", ASCENDING).hint("_id_").limit(request.limit + 1)
        return [_to_place(document) for document in await found.to_list(None)]

    async def ensure(self, spots: Iterable[Spot], by: str) -> None:
        """Make those that are missing, and what is missing above them."""
        wanted = {each for spot in spots for each in (spot, *above(spot))}
        writes = [
            UpdateOne({"_id": spot.id}, {"$setOnInsert": _to_document(spot, "", by)}, upsert=True)
            for spot in sorted(wanted - await self.known(wanted))
        ]
        if writes:
            await self._places.bulk_write(writes, ordered=False)

    async def add(self, spot: Spot, description: str, by: str) -> Place | None:
        """None if there is such a place."""
        document = _to_document(spot, description, by)
        try:
            await self._places.insert_one(document)
        except DuplicateKeyError:
            return None
        return _to_place(document)

    async def describe(self, place: Place, description: str, by: str) -> Place | None:
        """None if it has moved on from the revision it had."""
        made = marks(place.revision + 1, by, now())
        done = await self._places.update_one(
            {"_id": Spot(place.kind, place.path).id, "revision": place.revision},
            self.revisions.update({"description": place.description}, {"description": description, **made}),
        )
        return msgspec.structs.replace(place, description=description, **made) if done.modified_count else None

    async def delete(self, spot: Spot) -> None:
        await self._places.delete_one({"_id": spot.id})

    async def known(self, spots: Collection[Spot], session: Session | None = None) -> set[Spot]:
        """Those that exist."""
        ids = {spot.id: spot for spot in spots}
        found = self._places.find({"_id": {"$in": list(ids)}}, {"_id": 1}, session=session)
        return {ids[document["_id"]] for document in await found.to_list(None)}

    async def paths(self, kind: PlaceKind) -> list[str]:
        """Of this kind, up to COMPARED."""
        found = self._places.find({"_id": {"$gte": f"{kind}:", "$lt": f"{kind};"}}, {"path": 1}).limit(COMPARED)
        return [document["path"] for document in await found.to_list(None)]

    @property
    def businesses(self) -> Kept:
        async def among(names: Collection[str]) -> Collection[str]:
            return {spot.path for spot in await self.known([Spot(PlaceKind.BUSINESS, name) for name in names])}

        return Kept(among, lambda: self.paths(PlaceKind.BUSINESS))

    async def hosts(self, spot: Spot, visible: Condition | None = None) -> int:
        """How many of the visible ones name it; revoked ones do not count."""
        return await self._hosts.count_documents(all_of((hosts_in(spot), {"revoked": False}, visible or {})))

    async def below(self, spot: Spot) -> Place | None:
        """One of the places in it."""
        inside = [kind for kind in PlaceKind if spot in above(Spot(kind, f"{spot.path}/x"))]
        ranges = [{"_id": {"$gte": f"{kind}:{spot.path}/", "$lt": f"{kind}:{spot.path}0"}} for kind in inside]
        document = await self._places.find_one({"$or": ranges}) if ranges else None
        return _to_place(document) if document else None


def _to_document(spot: Spot, description: str, by: str) -> Document:
    made = marks(1, by, now())
    return {"_id": spot.id, "kind": spot.kind.value, "path": spot.path, "description": description, **made}


def _to_place(document: Document) -> Place:
    return msgspec.convert(document, Place)
