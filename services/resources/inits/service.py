"""Following runs that prepare hosts. Each public method is one use case.

What jobs tells of a run is looked up again and again, so nothing is missed while this service is away.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta

import structlog

from contracts import runs
from contracts.errors import Conflict, NotFound
from contracts.hosts import HostChanged, HostState, host_changed
from contracts.inits import HostInit, HostInits, InitHosts, ListInits, init_hosts
from contracts.people import Principal
from contracts.runs import HostResult, ListHostResults, RunRef
from contracts.states import Outcome
from runtime.authorize import scopes
from runtime.bus import Bus
from runtime.mongo import now
from services.resources.groups.reader import GroupReader
from services.resources.history.store import HistoryStore
from services.resources.hosts.editing import HostEditor, Manner
from services.resources.hosts.store import HostStore
from services.resources.inits import model
from services.resources.inits.model import Followed
from services.resources.inits.store import InitStore

log = structlog.get_logger()

PAGE = 1000
TRIED_AGAIN = timedelta(days=7)
"""After so long a run is followed again only if it is heard that somebody tries it again."""


class InitService:
    def __init__(
        self,
        inits: InitStore,
        hosts: HostStore,
        groups: GroupReader,
        editor: HostEditor,
        history: HistoryStore,
        bus: Bus,
    ) -> None:
        self._inits, self._hosts, self._groups = inits, hosts, groups
        self._editor, self._history, self._bus = editor, history, bus

    async def init(self, request: InitHosts, principal: Principal) -> HostInit:
        """Hosts that the principal may not change are left out."""
        await self._check_own(request.run, principal)
        known = await self._inits.get(request.run)
        if known is not None and not known.ended:
            if known.then is not request.then:
                raise Conflict("init.followed", f"Hosts of the run {request.run} move to {known.then} already.")
            return known
        visible = await self._groups.visible(scopes(principal, init_hosts.needs))
        named = [each.host for each in await self._results(request.run)]
        found = await self._hosts.traced(named, visible)
        hosts = tuple(
            each.host.id for each in found if each.host.state is HostState.DEPLOYING and not each.host.revoked
        )
        if not hosts:
            raise Conflict("init.no_hosts", f"No host of the run {request.run} that you may change is in deploying.")
        init = HostInit(
            run=request.run,
            then=request.then,
            hosts=len(hosts),
            succeeded=0,
            ended=False,
            by=principal.name,
            created_at=now(),
        )
        await self._inits.put(Followed(init, hosts, principal.credential))
        log.info("hosts.init", run=request.run, hosts=len(hosts), by=principal.name)
        return init

    async def list(self, request: ListInits, principal: Principal) -> HostInits:
        found = await self._inits.page(request, principal)
        page = found[: request.limit]
        return HostInits(inits=page, next=page[-1].run if len(found) > request.limit else "")

    async def follow(self) -> None:
        """Look at every run that is followed. Raises what jobs raises.

        Several instances that do it at once only take each other's work: a host moves out of `deploying` once, in a
        transaction, and entries of its history have ids that tell what they are about.
        """
        await self._look_at_all(await self._inits.open())

    async def follow_these(self, runs: Collection[str]) -> None:
        """The same for runs of which jobs told, also those that ended before and may have been tried again."""
        await self._look_at_all(await self._inits.among(runs))

    async def look_back(self) -> None:
        """The same for runs that ended and left hosts, in case nobody heard that they were tried again."""
        await self._look_at_all(await self._inits.left(now() - TRIED_AGAIN))

    async def _look_at_all(self, found: Sequence[Followed]) -> None:
        for followed in found:
            try:
                await self._look_at(followed)
            except NotFound:
                log.warning("hosts.init_lost", run=followed.init.run, why="jobs does not know the run")
                done = followed.init.succeeded
                await self._inits.note(followed.init, succeeded=done, ended=True, seen=followed.seen, rest=False)

    async def _look_at(self, followed: Followed) -> None:
        # The run before its hosts: an outcome between the two is there when the run has ended.
        run = await self._bus.call(runs.show, RunRef(run=followed.init.run))
        if followed.init.ended and run.revision == followed.seen:
            return
        ended = run.ended_at is not None
        results = await self._results(followed.init.run, () if ended else (Outcome.SUCCEEDED,))
        succeeded, others = model.sorted_out(followed, results)
        await self._move(followed.init, succeeded)
        await self._remember(followed.init, others)
        rest = len(succeeded) < followed.init.hosts
        await self._inits.note(followed.init, succeeded=len(succeeded), ended=ended, seen=run.revision, rest=rest)

    async def _move(self, init: HostInit, succeeded: Sequence[str]) -> None:
        waiting = await self._inits.deploying(succeeded)
        for edit in await self._editor.edit(waiting, model.moving(init, now()), Manner(model.author(init))):
            if edit.refusal is not None:
                log.warning("hosts.init_refused", run=init.run, host=edit.after.id, reason=edit.refusal.reason)
            if edit.changes:
                changed = HostChanged(host=edit.after.id, what="changed", revision=edit.after.revision)
                await self._bus.announce(host_changed, changed)

    async def _remember(self, init: HostInit, others: Sequence[HostResult]) -> None:
        """That these stay, in the history of each that is still in `deploying`."""
        by_host = {each.host: each for each in others}
        found = await self._hosts.traced(await self._inits.deploying(sorted(by_host)), {})
        at = now()
        await self._history.note([model.not_prepared(each.host, init, by_host[each.host.id], at) for each in found])

    async def _check_own(self, run: str, principal: Principal) -> None:
        """This service may see every run, so a run of somebody else is answered as jobs answers for one that is not."""
        found = await self._bus.call(runs.show, RunRef(run=run))
        if not model.own(principal, found.by):
            raise NotFound("run.unknown", f"There is no run {run}.")

    async def _results(self, run: str, outcomes: tuple[Outcome, ...] = ()) -> Sequence[HostResult]:
        """Where its hosts stand; with no outcomes, all of them."""
        found: list[HostResult] = []
        after = ""
        while True:
            asked = ListHostResults(run=run, outcomes=outcomes, after=after, limit=PAGE)
            page = await self._bus.call(runs.list_host_results, asked)
            found += page.hosts
            after = page.next
            if not after:
                return found
