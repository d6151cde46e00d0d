"""What a change of variables would do, told before it is saved: which hosts' values and which templates change."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from contracts.errors import Forbidden, NotFound
from contracts.groups import HostGroups
from contracts.people import Principal
from contracts.permissions import Scope as Reach
from contracts.variables import BlastRadius, ChangedHost, ChangedTemplate, KeyChange, PreviewVariables, ScopeKind
from runtime.authorize import scopes
from services.config.memberships import MOST_ASKED, Memberships, covers_host
from services.config.variables import model
from services.config.variables.document import keep_secrets, parse
from services.config.variables.effective import EffectiveService, HostLayers, layered
from services.config.variables.layers import Origin, merged
from services.config.variables.model import Record, Scope
from services.config.variables.service import VariableService
from services.config.variables.values import Path, Tree, read, written

MOST_EXAMINED = 10_000
"""Hosts; a second or two of work. Beyond that only their number is told."""
CHANGES_SHOWN = 20
MOST_CHANGES = 100
GLOBAL = "global"


class TemplateReads(Protocol):
    async def reading(self, roots: Iterable[str]) -> dict[str, list[Path]]:
        """Template → what it reads, of those that read anything below one of these first parts."""


@dataclass
class Touched:
    """Counted as hosts come by; the first ones are listed."""

    limit: int
    reach: Sequence[Reach]
    """Only hosts that lie in one of these are listed."""
    hosts: list[ChangedHost] = field(default_factory=list)
    changed: int = 0
    keys: set[str] = field(default_factory=set)
    _known: dict[tuple[Origin, ...], tuple[KeyChange, ...]] = field(default_factory=dict)

    def look_at(self, before: Sequence[HostLayers], after: Sequence[HostLayers], roots: set[str]) -> None:
        """`roots` are the first parts of all keys that the document changes."""
        for host, then in zip(before, after, strict=True):
            changes = self._changes(host, then, roots)
            if not changes:
                continue
            self.changed += 1
            self.keys.update(each.key for each in changes)
            if len(self.hosts) < self.limit and covers_host(self.reach, host.known):
                known = host.known.host
                self.hosts.append(ChangedHost(host=known.id, hostname=known.hostname, changes=changes[:CHANGES_SHOWN]))

    def _changes(self, before: HostLayers, after: HostLayers, roots: set[str]) -> tuple[KeyChange, ...]:
        key = tuple(layer.origin for layer in after.layers)
        if key not in self._known:
            self._known[key] = tuple(model.changes(_values(before, roots), _values(after, roots)))
        return self._known[key]


class BlastService:
    def __init__(
        self,
        documents: VariableService,
        effective: EffectiveService,
        memberships: Memberships,
        templates: TemplateReads,
    ) -> None:
        self._documents, self._effective = documents, effective
        self._memberships, self._templates = memberships, templates

    async def preview(self, request: PreviewVariables, principal: Principal) -> BlastRadius:
        scope = await self._documents.reached(request.scope, principal, "variables:change")
        await self._check_read(request.scope, principal)
        document = await asyncio.to_thread(parse, request.text)
        before = await self._documents.newest(scope)
        values = await asyncio.to_thread(keep_secrets, document, before.values)
        after = Record(scope, before.revision + 1, document.masked(), values)
        changes = await asyncio.to_thread(lambda: list(model.changes(before.values, values)))
        paths = [read(each.key) for each in changes]
        members, known = await self._members(scope)
        touched = Touched(request.limit, scopes(principal, "hosts:read"))
        if changes:
            await self._look_at(known, touched, after, {path[0] for path in paths})
        reads = await self._templates_reading(scope, paths, touched)
        return BlastRadius(
            changes=changes[:MOST_CHANGES],
            warnings=model.warned(document),
            members=members,
            examined=len(known),
            hosts_changed=touched.changed,
            hosts=touched.hosts,
            templates_changed=len(reads),
            templates=reads[: request.limit] if scopes(principal, "templates:read") else [],
        )

    async def _check_read(self, scope: str, principal: Principal) -> None:
        """What a change would do tells what stands there. Raises Forbidden."""
        try:
            await self._documents.reached(scope, principal, "variables:read")
        except NotFound:
            said = (
                f"{principal.name} may set variables of {scope} but not see them: a preview needs variables:read too."
            )
            raise Forbidden("auth.forbidden", said) from None

    async def _members(self, scope: Scope) -> tuple[int, list[HostGroups]]:
        if scope.kind is ScopeKind.HOST:
            return 1, [await self._memberships.of_host(scope.name)]
        members, hosts = await self._memberships.members(scope.name, MOST_EXAMINED)
        return members, await self._memberships.of_hosts(each.id for each in hosts)

    async def _look_at(self, known: Sequence[HostGroups], touched: Touched, after: Record, roots: set[str]) -> None:
        for start in range(0, len(known), MOST_ASKED):
            hosts = known[start : start + MOST_ASKED]
            records = await self._effective.documents(hosts)
            changed = {**records, str(after.scope): after}
            await asyncio.to_thread(touched.look_at, layered(hosts, records), layered(hosts, changed), roots)

    async def _templates_reading(self, scope: Scope, paths: Sequence[Path], touched: Touched) -> list[ChangedTemplate]:
        changed = {read(key) for key in touched.keys}
        if str(scope) == f"group:{GLOBAL}":
            changed.update((GLOBAL, *path) for path in paths)
        found = await self._templates.reading({path[0] for path in changed})
        told = []
        for name, reads in sorted(found.items()):
            keys = {path for path in changed for each in reads if model.related(each, path)}
            if keys:
                told.append(ChangedTemplate(name=name, keys=tuple(written(path) for path in sorted(keys))))
        return told


def _values(host: HostLayers, roots: set[str]) -> Tree:
    return merged({name: layer.values[name] for name in roots & layer.values.keys()} for layer in host.layers)
