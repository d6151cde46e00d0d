"""Who is in which group now. Each public method is one use case."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from contracts.groups import (
    AskGroups,
    GroupsOfHosts,
    HostGroups,
    HostsOfGroup,
    ListMembers,
    PreviewExpression,
)
from contracts.hosts import Host
from contracts.people import Principal
from contracts.permissions import Scope
from runtime.authorize import scopes
from services.resources.groups import model
from services.resources.groups.language import Language
from services.resources.groups.members import MemberStore
from services.resources.groups.reader import GroupReader
from services.resources.groups.service import READ, SEE_HOSTS
from services.resources.hosts.criteria import Condition, all_of
from services.resources.hosts.document import to_host
from services.resources.hosts.model import with_presence
from services.resources.hosts.visibility import sees_group

ROOM_BYTES = 600_000
"""Of an answer with hosts and their groups in it."""


class MembershipService:
    def __init__(self, members: MemberStore, reader: GroupReader) -> None:
        self._members, self._reader = members, reader

    async def members(self, request: ListMembers, principal: Principal) -> HostsOfGroup:
        language = await self._reader.language(scopes(principal, SEE_HOSTS))
        model.seen(language.catalogue, scopes(principal, READ), request.name)
        within = language.catalogue.being_in([request.name], heard_after=language.heard_after)
        return await self._page(language, within, request.after, request.limit)

    async def preview(self, request: PreviewExpression, principal: Principal) -> HostsOfGroup:
        language = await self._reader.language(scopes(principal, SEE_HOSTS), [request.expression])
        return await self._page(language, language.where(request.expression), "", request.limit)

    async def of_hosts(self, request: AskGroups, principal: Principal) -> GroupsOfHosts:
        language = await self._reader.language(scopes(principal, SEE_HOSTS))
        documents = await self._members.documents(set(request.hosts), language.visible())
        # Hundreds of expressions over a thousand hosts: nothing that an event loop should wait for.
        return await asyncio.to_thread(_answered, documents, language, scopes(principal, READ))

    async def _page(self, language: Language, within: Condition, after: str, limit: int) -> HostsOfGroup:
        asked = all_of((within, language.visible()))
        hosts = await self._members.page(asked, after=after, limit=limit)
        page = [_seen(host, language) for host in hosts[:limit]]
        return HostsOfGroup(
            hosts=page,
            total=None if after else await self._members.count(asked),
            next=page[-1].id if len(hosts) > limit else "",
        )


def _answered(documents: Sequence[dict[str, Any]], language: Language, seen: Sequence[Scope]) -> GroupsOfHosts:
    found: list[HostGroups] = []
    room = ROOM_BYTES
    for number, document in enumerate(documents):
        inside = language.catalogue.memberships(document, heard_after=language.heard_after)
        groups = [each for each in inside if sees_group(seen, each.name)]
        each = HostGroups(host=_seen(to_host(document), language), groups=groups)
        room -= len(msgspec.json.encode(each))
        if room < 0 and found:
            return GroupsOfHosts(hosts=found, rest=tuple(rest["_id"] for rest in documents[number:]))
        found.append(each)
    return GroupsOfHosts(hosts=found)


def _seen(host: Host, language: Language) -> Host:
    return with_presence(host, heard_after=language.heard_after.timestamp())
