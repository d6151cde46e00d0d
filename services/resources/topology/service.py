"""What people do with places. Each public method is one use case."""

from collections.abc import Collection

import msgspec
import structlog

from contracts.errors import Conflict, NotFound
from contracts.names import NameKind
from contracts.people import Principal
from contracts.topology import (
    ChangePlace,
    CreatePlace,
    ListPlaces,
    Place,
    PlaceKind,
    PlaceRef,
    Places,
    list_places,
    show_place,
)
from runtime.authorize import scopes
from runtime.names import Names
from services.resources.groups.reader import GroupReader
from services.resources.groups.store import GroupStore
from services.resources.topology import model
from services.resources.topology.model import Spot, above
from services.resources.topology.store import PlaceStore

log = structlog.get_logger()


class TopologyService:
    """A host that is moved into a place in the very moment in which the place is deleted may keep its name; it can be
    moved elsewhere, or the place made again."""

    def __init__(
        self, places: PlaceStore, groups: GroupStore, reader: GroupReader, names: Names, *, idcs: Collection[str]
    ) -> None:
        """`idcs` are those that have a relay."""
        self._places, self._groups, self._reader, self._names, self._idcs = places, groups, reader, names, idcs

    async def list(self, request: ListPlaces, principal: Principal) -> Places:
        found = await self._places.page(request, model.businesses(scopes(principal, list_places.needs)))
        page = found[: request.limit]
        more = len(found) > request.limit
        return Places(places=page, next=Spot(page[-1].kind, page[-1].path).id if more else "")

    async def show(self, request: PlaceRef, principal: Principal) -> Place:
        spot, within = Spot(request.kind, request.path), scopes(principal, show_place.needs)
        if not model.is_known(spot, model.businesses(within)):
            raise unknown(spot)
        place, visible = await self._get(spot), await self._reader.visible(within)
        return msgspec.structs.replace(place, hosts=await self._places.hosts(spot, visible))

    async def create(self, request: CreatePlace, principal: Principal) -> Place:
        spot = Spot(request.kind, request.path)
        model.check(spot)
        await self._places.ensure(above(spot), principal.name)
        made = await self._places.add(spot, request.description, principal.name)
        if made is None:
            raise Conflict("place.exists", f"There is a {spot} already.")
        log.info("place.created", place=spot.id, by=principal.name)
        return made

    async def change(self, request: ChangePlace, principal: Principal) -> Place:
        spot = Spot(request.kind, request.path)
        while True:
            place = await self._get(spot)
            await self._places.revisions.check(request.revision, place.revision, spot.id)
            after = await self._places.describe(place, request.description, principal.name)
            if after is not None:
                log.info("place.changed", place=spot.id, by=principal.name)
                return after

    async def delete(self, request: PlaceRef, principal: Principal) -> Place:
        spot = Spot(request.kind, request.path)
        place = await self._get(spot)
        if spot.kind is PlaceKind.IDC and spot.path in self._idcs:
            raise Conflict("place.in_use", f"The {spot} has a relay. Take it out of the settings first.")
        if (below := await self._places.below(spot)) is not None:
            raise Conflict("place.in_use", f"{Spot(below.kind, below.path)} lies in the {spot}. Delete it first.")
        if hosts := await self._places.hosts(spot):
            raise Conflict("place.in_use", f"{hosts} hosts name the {spot}. Move them first.", {"hosts": hosts})
        if users := (await self._groups.catalogue()).users(spot.id):
            raise Conflict("place.in_use", f"The group {users[0]} names the {spot}. Change the group first.")
        if spot.kind is PlaceKind.BUSINESS and (uses := await self._names.uses(NameKind.BUSINESS, spot.path)):
            raise Conflict("place.in_use", f"The {spot} is named by {', '.join(uses)}. Take it out of there first.")
        await self._places.delete(spot)
        log.info("place.deleted", place=spot.id, by=principal.name)
        return place

    async def _get(self, spot: Spot) -> Place:
        place = await self._places.get(spot)
        if place is None:
            raise unknown(spot)
        return place


def unknown(spot: Spot) -> NotFound:
    return NotFound("place.unknown", f"There is no {spot}.")
