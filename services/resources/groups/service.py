"""What people do with groups. Each public method is one use case."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import structlog

from contracts.errors import Forbidden
from contracts.groups import ChangeGroup, CreateGroup, Group, GroupRef, Groups, ListGroups, MoveHosts
from contracts.names import NameKind
from contracts.people import Principal
from runtime.authorize import scopes
from runtime.mongo import now
from runtime.names import Names
from runtime.revisions import UNSAID, differing
from services.resources.expressions.tree import groups as named_in
from services.resources.groups import model
from services.resources.groups.catalogue import Catalogue, Stored
from services.resources.groups.members import MemberStore
from services.resources.groups.reader import GroupReader
from services.resources.groups.store import GroupStore, new_key
from services.resources.hosts.visibility import is_bounded, sees_group

log = structlog.get_logger()

READ, CHANGE, SEE_HOSTS = "groups:read", "groups:change", "hosts:read"


class GroupService:
    """Who may change a group decides over who may see and do what, wherever a scope names it. So changing any group
    needs a grant that no business and no group bounds."""

    def __init__(self, store: GroupStore, members: MemberStore, reader: GroupReader, names: Names) -> None:
        self._store, self._members, self._reader, self._names = store, members, reader, names

    async def list(self, request: ListGroups, principal: Principal) -> Groups:
        seen = scopes(principal, READ)
        groups = [each for each in (await self._store.catalogue()).by_name if sees_group(seen, each.name)]
        found = model.page(groups, request)
        page = found[: request.limit]
        return Groups(groups=page, next=page[-1].name if len(found) > request.limit else "")

    async def show(self, request: GroupRef, principal: Principal) -> Group:
        return model.seen(await self._store.catalogue(), scopes(principal, READ), request.name)

    async def create(self, request: CreateGroup, principal: Principal) -> Group:
        _refuse_bounded(principal)
        await self._check(request.expression, request.hosts, principal)
        key = new_key()

        def make(catalogue: Catalogue) -> Stored:
            stored = _checked(Stored(model.created(request, catalogue), key), catalogue)
            return model.signed(stored, {}, principal.name, now())

        made = await self._store.save(make)
        await self._members.put(key, request.hosts)
        log.info("group.created", group=request.name, hosts=len(request.hosts), by=principal.name)
        return made.group

    async def change(self, request: ChangeGroup, principal: Principal) -> Group:
        await self._refuse_unseen(request.name, principal)
        if request.expression is not msgspec.UNSET:
            await self._check(request.expression, (), principal)

        def change(catalogue: Catalogue) -> Stored:
            before = model.stored(catalogue, request.name)
            model.refuse_changed(before, request.revision)
            after = model.changed(before.group, request)
            if after == before.group:
                return before
            were = differing(model.entered(before.group), model.entered(after))
            return model.signed(_checked(replace(before, group=after), catalogue), were, principal.name, now())

        changed = await self._store.save(change)
        log.info("group.changed", group=request.name, revision=changed.group.revision, by=principal.name)
        return changed.group

    async def delete(self, request: GroupRef, principal: Principal) -> Group:
        await self._refuse_unseen(request.name, principal)
        # Another group of that name would else get the variables, accounts and bounds that were meant for this one.
        model.refuse_used(request.name, await self._names.uses(NameKind.GROUP, request.name))

        def check(catalogue: Catalogue) -> Stored:
            stored = model.stored(catalogue, request.name)
            model.refuse_used(request.name, catalogue.users(request.name))
            return stored

        deleted = await self._store.delete(check)
        # Its key is never used again: a host that keeps it because we crash right here is in no group by it.
        await self._members.forget(deleted.key)
        log.info("group.deleted", group=request.name, by=principal.name)
        return deleted.group

    async def add_hosts(self, request: MoveHosts, principal: Principal) -> Group:
        await self._refuse_unseen(request.name, principal)
        await self._check("", request.hosts, principal)
        moved = await self._store.save(lambda catalogue: _moved(request, catalogue, principal))
        await self._members.put(moved.key, request.hosts)
        log.info("group.hosts_added", group=request.name, hosts=len(request.hosts), by=principal.name)
        return moved.group

    async def remove_hosts(self, request: MoveHosts, principal: Principal) -> Group:
        await self._refuse_unseen(request.name, principal)
        moved = await self._store.save(lambda catalogue: _moved(request, catalogue, principal))
        await self._members.take(moved.key, request.hosts)
        log.info("group.hosts_removed", group=request.name, hosts=len(request.hosts), by=principal.name)
        return moved.group

    async def _refuse_unseen(self, name: str, principal: Principal) -> None:
        """Raises NotFound for a group that the principal does not see, and Forbidden if they may change none."""
        model.seen(await self._store.catalogue(), scopes(principal, CHANGE), name)
        _refuse_bounded(principal)

    async def _check(self, expression: str, hosts: Sequence[str], principal: Principal) -> None:
        """Raises Invalid if the expression or one of the hosts means nothing."""
        language = await self._reader.language(scopes(principal, SEE_HOSTS), [expression])
        known = await self._members.known(hosts, language.visible()) if hosts else set()
        model.refuse_unknown_hosts([host for host in hosts if host not in known])


def _refuse_bounded(principal: Principal) -> None:
    if is_bounded(scopes(principal, CHANGE)):
        raise Forbidden(
            "auth.forbidden",
            f"{principal.name} may change no groups: a group decides who sees and does what, so that needs"
            f" {CHANGE} for all businesses and groups.",
        )


def _moved(request: MoveHosts, catalogue: Catalogue, principal: Principal) -> Stored:
    stored = model.stored(catalogue, request.name)
    model.refuse_changed(stored, request.revision)
    model.refuse_dynamic(stored.group)
    return model.signed(stored, {"hosts": UNSAID}, principal.name, now())


def _checked(stored: Stored, catalogue: Catalogue) -> Stored:
    """With what it uses, if all of that exists and does not lead back to it. Raises Invalid."""
    group = stored.group
    uses = tuple(named_in(catalogue.read(group.expression))) if group.expression else group.groups
    model.refuse_unknown([name for name in uses if name not in catalogue])
    model.refuse_cycle(group, uses, catalogue)
    return replace(stored, uses=uses)
