"""Resolving targets: one use case."""

import asyncio
import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from contracts.hosts import HostFilter, ResolveTargets, Targets, TargetSet, resolve_targets
from contracts.people import Principal
from contracts.permissions import Scope
from runtime.authorize import scopes
from services.resources.groups.reader import GroupReader
from services.resources.hosts.criteria import Condition
from services.resources.targets import model
from services.resources.targets.store import TargetStore

REMEMBERED = 16
REMEMBERED_S = 30.0
_OF_SET = ":"

Key = tuple[bytes, str]
"""What was asked among which hosts, and the hash of the set that came out."""


@dataclass(frozen=True)
class Resolution:
    ids: list[str]
    hash: str
    unknown: tuple[str, ...]
    at: float


class TargetService:
    """Remembers the newest resolutions for the pages after their first, so that a set of many pages is chosen once.

    `next` names the set that the page belongs to. Another instance may be asked for the next page; if it does not
    remember this very set it chooses by itself, and the hash says whether that came out the same.
    """

    def __init__(self, targets: TargetStore, groups: GroupReader, *, window_s: float) -> None:
        """A host is online if it was heard within the last `window_s` seconds."""
        self._targets, self._groups, self._window_s = targets, groups, window_s
        self._recent: OrderedDict[Key, Resolution] = OrderedDict()

    async def resolve(self, request: ResolveTargets, principal: Principal) -> TargetSet:
        after, _, of_set = request.after.partition(_OF_SET)
        among = _scopes(request, principal)
        key = (msgspec.json.encode((request.targets, among)), of_set)
        chosen = self._remembered(key)
        if chosen is None:
            chosen = await self._choose(request.targets, among)
            self._remember((key[0], chosen.hash), chosen)
        start = bisect_right(chosen.ids, after)
        page = chosen.ids[start : start + request.limit]
        return TargetSet(
            hosts=await self._targets.hosts(page, heard_after=time.time() - self._window_s),
            hash=chosen.hash,
            unknown=chosen.unknown,
            next=f"{page[-1]}{_OF_SET}{chosen.hash}" if start + request.limit < len(chosen.ids) else "",
            total=len(chosen.ids),
        )

    async def _choose(self, targets: Targets, among: Sequence[Scope]) -> Resolution:
        filters = [targets, targets.exclude or HostFilter()]
        language = await self._groups.language(among, [each.where for each in filters])
        choice = model.choice(targets, language, language.visible())
        unknown = await self._unknown(targets, choice.visible)
        if not targets.allow_unknown:
            model.refuse_unknown(unknown)
        ids = await self._targets.ids(choice.query(), limit=model.MOST + 1)
        model.refuse_too_many(len(ids))
        if not ids:
            counts = [await self._targets.count(choice.query(steps)) for steps in range(len(choice.steps) + 1)]
            raise model.empty(choice, counts)
        digest = await asyncio.to_thread(model.set_hash, ids)
        return Resolution(ids, digest, tuple(unknown[: model.UNKNOWN_LISTED]), time.monotonic())

    async def _unknown(self, targets: Targets, visible: Condition) -> list[str]:
        unknown = []
        for names in model.names(targets):
            unknown += model.missing(names, await self._targets.known(names, visible, live=True))
        if targets.exclude is not None:
            # To exclude a host that is retired already is no mistake.
            for names in model.names(targets.exclude):
                unknown += model.missing(names, await self._targets.known(names, visible, live=False))
        return unknown

    def _remembered(self, key: Key) -> Resolution | None:
        found = self._recent.get(key)
        return found if found is not None and time.monotonic() - found.at < REMEMBERED_S else None

    def _remember(self, key: Key, chosen: Resolution) -> None:
        self._recent.pop(key, None)
        self._recent[key] = chosen
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)


def _scopes(request: ResolveTargets, principal: Principal) -> tuple[Scope, ...]:
    """A service may ask for somebody else; whoever else asks cannot get beyond their own."""
    if principal.kind == "service" and request.scopes is not None:
        return request.scopes
    return scopes(principal, resolve_targets.needs)
