"""Places, which of them a host names, and which stand above which. Pure."""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from contracts.errors import Invalid
from contracts.hosts import Host
from contracts.permissions import Scope
from contracts.topology import PlaceKind
from services.resources.idcs import reserved

DEPTHS: Mapping[PlaceKind, range] = {
    PlaceKind.BUSINESS: range(1, 2),
    PlaceKind.PRODUCT_LINE: range(2, 9),
    PlaceKind.IDC: range(1, 2),
    PlaceKind.ROOM: range(2, 3),
    PlaceKind.RACK: range(2, 4),
    PlaceKind.SET: range(1, 2),
}
"""How many names the path of a place has."""
EXAMPLES: Mapping[PlaceKind, str] = {
    PlaceKind.BUSINESS: "games",
    PlaceKind.PRODUCT_LINE: "games/mobile",
    PlaceKind.IDC: "js",
    PlaceKind.ROOM: "js/r1",
    PlaceKind.RACK: "js/r1/a7",
    PlaceKind.SET: "blue",
}
OF_BUSINESSES = (PlaceKind.BUSINESS, PlaceKind.PRODUCT_LINE)
"""Places that exist only for whoever knows the business; where hosts stand is the map of the company."""
_NEAR = 3
_NAME = re.compile(r"[^\x00-\x1f\x7f/]{1,64}")


class Spot(NamedTuple):
    """The name of a place."""

    kind: PlaceKind
    path: str

    @property
    def id(self) -> str:
        return f"{self.kind}:{self.path}"

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')} {self.path}"


def check(spot: Spot) -> None:
    """Raises Invalid if no place of this kind can have this path."""
    names = spot.path.split("/")
    if len(names) not in DEPTHS[spot.kind] or not all(map(_NAME.fullmatch, names)):
        raise Invalid(
            "place.bad_path",
            f"{spot.path} is no path of a {spot.kind.replace('_', ' ')}; one looks like {EXAMPLES[spot.kind]}.",
        )
    if spot.kind in {PlaceKind.IDC, PlaceKind.ROOM, PlaceKind.RACK} and reserved(names[0]):
        raise Invalid("idc.reserved", f"No IDC can be called {names[0]}: Drover uses that name itself.")


def above(spot: Spot) -> Iterator[Spot]:
    """The places that it lies in, the nearest first."""
    parent, _, _ = spot.path.rpartition("/")
    if parent:
        depth = parent.count("/") + 1
        if spot.kind is PlaceKind.PRODUCT_LINE:
            kind = PlaceKind.BUSINESS if depth == 1 else PlaceKind.PRODUCT_LINE
        else:
            kind = PlaceKind.IDC if depth == 1 else PlaceKind.ROOM
        yield Spot(kind, parent)
        yield from above(Spot(kind, parent))


def spots(host: Host) -> set[Spot]:
    """All that the host names."""
    named = {
        PlaceKind.BUSINESS: (host.business,),
        PlaceKind.PRODUCT_LINE: (host.business, host.product_line),
        PlaceKind.IDC: (host.idc,),
        PlaceKind.ROOM: (host.idc, host.room),
        PlaceKind.RACK: (host.idc, *filter(None, (host.room,)), host.rack),
        PlaceKind.SET: (host.host_set,),
    }
    return {Spot(kind, "/".join(path)) for kind, path in named.items() if path[-1]}


def hosts_in(spot: Spot) -> dict[str, Any]:
    """The condition of naming this place."""
    first, _, rest = spot.path.partition("/")
    room, _, rack = rest.rpartition("/")
    return {
        PlaceKind.BUSINESS: {"business": first},
        PlaceKind.PRODUCT_LINE: {"business": first, "product_line": rest},
        PlaceKind.IDC: {"idc": first},
        PlaceKind.ROOM: {"idc": first, "room": rest},
        PlaceKind.RACK: {"idc": first, "room": room, "rack": rack},
        PlaceKind.SET: {"host_set": first},
    }[spot.kind]


def businesses(scopes: Iterable[Scope]) -> frozenset[str] | None:
    """Those that somebody with these scopes knows; None: all. A scope of groups alone may hold hosts of any."""
    known: set[str] = set()
    for scope in scopes:
        if scope.businesses is None:
            return None
        known.update(scope.businesses)
    return frozenset(known)


def is_known(spot: Spot, known: Collection[str] | None) -> bool:
    """Whether a place exists for somebody who knows these businesses."""
    return known is None or spot.kind not in OF_BUSINESSES or spot.path.partition("/")[0] in known


def among(known: Collection[str] | None) -> dict[str, Any]:
    """The condition of being a place that exists for somebody who knows these businesses."""
    if known is None:
        return {}
    lines = [{"kind": PlaceKind.PRODUCT_LINE, "path": {"$gte": f"{each}/", "$lt": f"{each}0"}} for each in known]
    named = {"kind": PlaceKind.BUSINESS, "path": {"$in": list(known)}}
    return {"$or": [{"kind": {"$nin": list(OF_BUSINESSES)}}, named, *lines]}


def missing(spot: Spot, paths: Iterable[str]) -> Invalid:
    """The refusal of a host that names a place which does not exist; `paths` are those of its kind that do."""
    if spot.kind is PlaceKind.PRODUCT_LINE:  # those of other businesses may be none of the caller's business
        paths = (each for each in paths if each.partition("/")[0] == spot.path.partition("/")[0])
    near = difflib.get_close_matches(spot.path, list(paths), n=_NEAR, cutoff=0.5)
    hint = f" Near it: {', '.join(near)}." if near else ""
    return Invalid(
        "place.missing",
        f"There is no {spot}.{hint} Make it first, or name one that exists.",
        {"kind": spot.kind, "path": spot.path, "near": near},
    )
