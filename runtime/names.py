"""Names that services write down for one another: asked before they are written, and before they are deleted.

Between the question and the write another service may delete what was named; then the name means nothing, as if it had
been deleted after.
"""

import asyncio
import difflib
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from contracts.errors import Invalid
from contracts.names import (
    KEPT_BY,
    SEEN_WITH,
    USED_BY,
    AskNames,
    NameKind,
    NameRef,
    UnknownName,
    UnknownNames,
    unknown_names,
    uses_of_name,
)
from contracts.people import Principal
from contracts.permissions import EVERYTHING
from runtime import mongo
from runtime.authorize import scopes
from runtime.bus import Bus
from runtime.mongo import Document

COMPARED = 5000
"""Names among which one is looked for that is near to a wrong one."""
_NEAR = 3


class Names:
    """What other services keep, asked in this service's own name."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def check(self, named: Mapping[NameKind, Collection[str]], by: Principal) -> None:
        """Raise Invalid if one of the names does not exist. Near ones are told to whoever may see them all."""
        for kind, names in named.items():
            if names:
                near = EVERYTHING in scopes(by, SEEN_WITH[kind])
                asked = AskNames(kind=kind, names=tuple(sorted(names)), near=near)
                told = await self._bus.call(unknown_names(KEPT_BY[kind]), asked)
                if told.unknown:
                    raise unknown(kind, told.unknown[0])

    async def uses(self, kind: NameKind, name: str) -> list[str]:
        """What names it elsewhere. Raises Unavailable if a service cannot be asked."""
        asked = NameRef(kind=kind, name=name)
        told = await asyncio.gather(*(self._bus.call(uses_of_name(each), asked) for each in USED_BY[kind]))
        return [use for each in told for use in each.uses]


def unknown(kind: NameKind, found: UnknownName) -> Invalid:
    """The refusal to write down a name that does not exist."""
    near = f" Near it: {', '.join(found.near)}." if found.near else ""
    return Invalid(
        "name.unknown",
        f"There is no {kind} {found.name}.{near} Nothing was changed. Name one that exists, or make it first.",
        {"kind": kind.value, "name": found.name, "near": list(found.near)},
    )


@dataclass(frozen=True)
class Kept:
    """The names of one kind that a service keeps."""

    among: Callable[[Collection[str]], Awaitable[Collection[str]]]
    """Those of some names that exist."""
    some: Callable[[], Awaitable[Collection[str]]]
    """Up to COMPARED."""

    @classmethod
    def ids_of(cls, collection: mongo.Collection, only: Callable[[], Document] = dict) -> "Kept":
        """The ids of the documents that meet a condition."""

        async def among(names: Collection[str]) -> Collection[str]:
            found = collection.find({"_id": {"$in": list(names)}, **only()}, {"_id": 1})
            return {each["_id"] for each in await found.to_list(None)}

        async def some() -> Collection[str]:
            found = collection.find({"_id": {"$gt": ""}, **only()}, {"_id": 1}).limit(COMPARED)
            return [each["_id"] for each in await found.to_list(None)]

        return cls(among, some)


class KeptNames:
    """Answers which names exist here."""

    def __init__(self, kept: Mapping[NameKind, Kept]) -> None:
        self._kept = kept

    async def unknown(self, request: AskNames, _: Principal) -> UnknownNames:
        kept = self._kept[request.kind]
        known = await kept.among(request.names)
        missing = [name for name in request.names if name not in known]
        some = await kept.some() if missing and request.near else ()
        return await asyncio.to_thread(_told, missing, some)


def _told(missing: Collection[str], some: Collection[str]) -> UnknownNames:
    return UnknownNames(
        unknown=[
            UnknownName(name=name, near=tuple(difflib.get_close_matches(name, some, n=_NEAR)) if some else ())
            for name in list(missing)[:10]
        ]
    )
