"""Who is in which group now. Each public method is one use case."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

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

ROOM_BYTES = 800_000
"""Of an answer with hosts in it; the bus carries 900 KiB."""
AT_ONCE = 400
"""Hosts that are read for one answer; seldom do more fit into it."""

T = TypeVar("T")


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
        asked = sorted(set(request.hosts))
        documents = await self._members.documents(asked[:AT_ONCE], language.visible())
        # Hundreds of expressions over hundreds of hosts: nothing that an event loop should wait for.
        answer = await asyncio.to_thread(_answered, documents, language, scopes(principal, READ), request.among)
        return msgspec.structs.replace(answer, rest=(*answer.rest, *asked[AT_ONCE:]))

    async def _page(self, language: Language, within: Condition, after: str, limit: int) -> HostsOfGroup:
        asked = all_of((within, language.visible()))
        hosts = await self._members.page(asked, after=after, limit=limit)
        page = _for_one_message(_seen(host, language) for host in hosts[:limit])
        return HostsOfGroup(
            hosts=page,
            total=None if after else await self._members.count(asked),
            next=page[-1].id if len(hosts) > len(page) else "",
        )


def _answered(
    documents: Sequence[dict[str, Any]], language: Language, seen: Sequence[Scope], among: Sequence[str] | None
) -> GroupsOfHosts:
    choice = None if among is None else language.catalogue.choice(among)

    def told(document: dict[str, Any]) -> HostGroups:
        inside = language.catalogue.memberships(document, heard_after=language.heard_after, among=choice)
        groups = [each for each in inside if sees_group(seen, each.name)]
        return HostGroups(host=_seen(to_host(document), language), groups=groups)

    found = _for_one_message(map(told, documents))
    return GroupsOfHosts(hosts=found, rest=tuple(each["_id"] for each in documents[len(found) :]))


def _for_one_message(items: Iterable[T]) -> list[T]:
    """The first of them, as many as fit into one message, but one at least."""
    found: list[T] = []
    room = ROOM_BYTES
    for each in items:
        room -= len(msgspec.json.encode(each))
        if room < 0 and found:
            break
        found.append(each)
    return found


def _seen(host: Host, language: Language) -> Host:
    return with_presence(host, heard_after=language.heard_after.timestamp())
