"""What people do with documents of variables. Each public method is one use case."""

import asyncio
from collections.abc import Sequence

import structlog

from contracts.people import Principal
from contracts.permissions import EVERYTHING
from contracts.permissions import Scope as Reach
from contracts.variables import (
    DiffVersions,
    ListVariables,
    ListVersions,
    ScopeKind,
    Scopes,
    ScopeSummary,
    SetVariables,
    ShowVariables,
    Variables,
    VariablesDiff,
    VariablesVersion,
    VariablesVersions,
)
from runtime.audit import note
from runtime.authorize import scopes
from runtime.mongo import now
from services.config.memberships import Memberships, covers_group, covers_host, unknown_group, unknown_host
from services.config.variables import model
from services.config.variables.document import Document, keep_secrets, parse
from services.config.variables.model import Record, Scope
from services.config.variables.store import Listed, VariableStore

log = structlog.get_logger()

FOUND_SHOWN = 10
TRIES = 5
"""A change without a revision is the caller's word against whatever stands there, so it is tried again."""


class VariableService:
    def __init__(self, documents: VariableStore, memberships: Memberships) -> None:
        self._documents, self._memberships = documents, memberships

    async def list(self, request: ListVariables, principal: Principal) -> Scopes:
        found = await self._documents.page(request)
        page = found[: request.limit]
        visible = await self._visible(page, scopes(principal, "variables:read"))
        summaries = await asyncio.to_thread(lambda: [_summary(each, request.search) for each in visible])
        return Scopes(scopes=summaries, next=str(page[-1].record.scope) if len(found) > request.limit else "")

    async def show(self, request: ShowVariables, principal: Principal) -> Variables:
        scope = await self.reached(request.scope, principal, "variables:read")
        record = await self.version(scope, request.revision)
        return model.shown(record, model.warned(await asyncio.to_thread(parse, record.text)))

    async def set(self, request: SetVariables, principal: Principal) -> Variables:
        scope = await self.reached(request.scope, principal, "variables:change")
        document = await asyncio.to_thread(parse, request.text)
        for _ in range(TRIES):
            before = await self.newest(scope)
            await self._check_seen(request.revision, before)
            after = await asyncio.to_thread(_next, before, document, request.why, principal.name)
            if after is before or await self._documents.add(after, before):
                break
        else:
            raise await self._documents.revisions.moved_on(after.revision - 1, str(scope))
        if after is not before:
            note(before=model.noted(before), after=model.noted(after))
            log.info("variables.set", scope=str(scope), revision=after.revision, by=principal.name)
        return model.shown(after, model.warned(document))

    async def versions(self, request: ListVersions, principal: Principal) -> VariablesVersions:
        scope = await self.reached(request.scope, principal, "variables:read")
        found = await self._documents.versions(scope, request.after, request.limit + 1)
        page = [VariablesVersion(**each) for each in found[: request.limit]]
        return VariablesVersions(versions=page, next=page[-1].revision if len(found) > request.limit else 0)

    async def diff(self, request: DiffVersions, principal: Principal) -> VariablesDiff:
        scope = await self.reached(request.scope, principal, "variables:read")
        after = await self.version(scope, request.revision)
        against = max(after.revision - 1, 0) if request.against is None else request.against
        before = await self.version(scope, against) if against else model.nothing(scope)
        return await asyncio.to_thread(model.diff, before, after)

    async def reached(self, text: str, principal: Principal, permission: str) -> Scope:
        """The scope, if there is such a group or host and the principal has the permission for it. Raises NotFound."""
        scope, reach = Scope.of(text), scopes(principal, permission)
        if scope.kind is ScopeKind.HOST:
            if not covers_host(reach, await self._memberships.of_host(scope.name)):
                raise unknown_host(scope.name)
        elif not covers_group(reach, scope.name):
            raise unknown_group(scope.name)
        else:
            await self._memberships.check_group(scope.name)
        return scope

    async def _check_seen(self, seen: int | None, now: Record) -> None:
        """Raise Conflict if somebody looked at another revision than there is."""
        if now.revision:
            await self._documents.revisions.check(seen, now.revision, str(now.scope))
        elif seen:
            raise model.none_yet(now.scope)

    async def newest(self, scope: Scope) -> Record:
        return await self._documents.newest(scope) or model.nothing(scope)

    async def version(self, scope: Scope, revision: int) -> Record:
        """0: the newest. Raises NotFound."""
        if not revision:
            return await self.newest(scope)
        found = await self._documents.version(scope, revision)
        if found is None:
            raise model.no_version(scope, revision)
        return found

    async def _visible(self, listed: Sequence[Listed], reach: tuple[Reach, ...]) -> Sequence[Listed]:
        if EVERYTHING in reach:
            return listed
        found = [each.record.scope for each in listed]
        hosts = [scope.name for scope in found if scope.kind is ScopeKind.HOST]
        known = await self._memberships.of_hosts(hosts) if hosts else []
        seen = {Scope(ScopeKind.HOST, each.host.id) for each in known if covers_host(reach, each)}
        seen |= {scope for scope in found if scope.kind is ScopeKind.GROUP and covers_group(reach, scope.name)}
        return [each for each in listed if each.record.scope in seen]


def _next(before: Record, document: Document, why: str, by: str) -> Record:
    return model.next_version(before, document, keep_secrets(document, before.values), why, by, now())


def _summary(listed: Listed, search: str) -> ScopeSummary:
    record = listed.record
    return ScopeSummary(
        scope=str(record.scope),
        revision=record.revision,
        keys=listed.keys,
        why=record.why,
        changed_by=record.changed_by,
        changed_at=record.changed_at,
        found=model.found_in(record.values, search, FOUND_SHOWN) if search else {},
    )
