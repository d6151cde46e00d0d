"""One browser's stream, from its request to its end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field

import msgspec
import structlog
from aiohttp import web

from contracts import runs
from contracts.errors import Unauthenticated, Unavailable
from contracts.people import Principal
from runtime.background import ended
from runtime.bus import Bus
from runtime.mongo import ConnectionFailure
from services.gateway.identity import Identity, nobody
from services.gateway.metrics import Metrics
from services.gateway.stream import sse
from services.gateway.stream.feed import Feed, Told
from services.gateway.stream.follower import Follower, Wanted
from services.gateway.stream.mailbox import Closed, Mailbox

COMMENT_EVERY_S = 15.0
STALLED_S = 30.0
"""A browser that takes nothing for so long is cut."""
CHECK_EVERY_S = 5.0
"""How soon a stream ends after the session or token it was opened with, or after its browser left."""
CHANGED = f"{runs.run_changed.service}.{runs.run_changed.kind}"

log = structlog.get_logger()


@dataclass(frozen=True)
class Wish:
    """What a browser wants to see."""

    runs: tuple[str, ...]
    outputs: tuple[Wanted, ...]
    after: int | None
    """The number of the last event it has."""


@dataclass(eq=False)
class Viewer:
    """Takes what the feed tells, for one browser."""

    name: str
    """Of the person."""
    runs: Collection[str]
    mailbox: Mailbox
    behind: int = 0
    """Events up to this number are told another way, or known."""
    followers: list[Follower] = field(default_factory=list)

    def lost(self) -> None:
        """The numbers of the stream began anew; the browser comes again and is told so."""
        self.mailbox.close()

    def tell(self, told: Told) -> None:
        if told.sequence <= self.behind:
            return
        self.mailbox.offer(sse.event(told.kind, told.data, told.sequence))
        for follower in self.followers:
            # An event that has news of a host's output names the host. One about the run may tell of another try.
            if follower.run == told.run and (follower.host.encode() in told.data or follower.ended):
                follower.look()


class Streams:
    def __init__(self, bus: Bus, feed: Feed, identity: Identity, metrics: Metrics) -> None:
        self._bus = bus
        self._feed = feed
        self._identity = identity
        self._metrics = metrics
        self._viewers: set[Viewer] = set()

    def count(self, name: str = "") -> int:
        """Streams that are open, in all or of one person."""
        return sum(not name or viewer.name == name for viewer in self._viewers)

    async def close(self, _: object = None) -> None:
        """End all streams; their browsers find another gateway."""
        for viewer in self._viewers:
            viewer.mailbox.close()

    async def show(self, request: web.Request, wish: Wish, principal: Principal) -> web.StreamResponse:
        """Raises ServiceError, for a run that the principal may not see and the like, before anything is sent."""
        bounds = await self._feed.bounds()
        after = wish.after
        if after is not None and not bounds.first - 1 <= after <= bounds.last:
            after = None

        def cut() -> None:
            self._metrics.streams_cut.inc()
            log.info("stream.cut", runs=wish.runs)
            if request.transport is not None:
                request.transport.abort()

        viewer = Viewer(principal.name, frozenset(wish.runs), Mailbox(cut), behind=after or 0)
        async with self._feed.watching(viewer) as at:
            # Asked after the number is known: what happened up to it is in these answers.
            known = [await self._changed(run, principal) for run in wish.runs]
            response = await _opened(request)
            self._viewers.add(viewer)
            self._metrics.streams.inc()
            try:
                async with self._attended(request, viewer, wish, principal):
                    if after is not None:
                        await self._catch_up(response, viewer, after, at)
                    else:
                        lost = b"" if wish.after is None else sse.event("reset", b"{}", at)
                        await _write(response, lost + b"".join(sse.event(CHANGED, each, at) for each in known))
                    await _send(response, viewer.mailbox)
            except TimeoutError:
                cut()
            except (Closed, ConnectionError, Unavailable):
                pass  # it was ended here, or the browser went away, or must come again to read what it missed
            finally:
                self._viewers.discard(viewer)
                self._metrics.streams.dec()
        return response

    async def _catch_up(self, response: web.StreamResponse, viewer: Viewer, after: int, at: int) -> None:
        async for told in self._feed.past(viewer.runs, after, at):
            await _write(response, sse.event(told.kind, told.data, told.sequence))

    async def _changed(self, run: str, principal: Principal) -> bytes:
        """How the run stands, as the event says it."""
        shown = await self._bus.call(runs.show, runs.RunRef(run=run), principal=principal)
        return msgspec.json.encode(
            runs.RunChanged(
                run=shown.id, revision=shown.revision, state=shown.state, hosts=shown.hosts, counts=shown.counts
            )
        )

    @contextlib.asynccontextmanager
    async def _attended(
        self, request: web.Request, viewer: Viewer, wish: Wish, principal: Principal
    ) -> AsyncIterator[None]:
        """Output is followed and the session watched for as long as the block lasts."""
        viewer.followers = [Follower(self._bus, principal, each, viewer.mailbox.put) for each in wish.outputs]
        tasks = [asyncio.create_task(follower.follow(), name="follower") for follower in viewer.followers]
        tasks.append(asyncio.create_task(self._check(request, viewer.mailbox, principal), name="stream check"))
        try:
            yield
        finally:
            await ended(*tasks)
            for task in tasks:
                if not task.cancelled() and (error := task.exception()) is not None:
                    log.error("stream.crashed", exc_info=error)

    async def _check(self, request: web.Request, mailbox: Mailbox, principal: Principal) -> None:
        """End the stream when whoever opened it left, or is not who they were any more."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            if request.transport is None:  # nobody is there any more, and a silent stream would not notice for long
                mailbox.close()
                return
            try:
                now = await self._identity.of(request, active=False)
            except Unauthenticated:
                now = nobody(request)
            except ConnectionFailure:
                continue  # the database is away; ask again
            if now != principal:
                mailbox.offer(sse.own("end", reason="auth.required"))
                mailbox.close()
                return


async def _opened(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"X-Accel-Buffering": "no"})
    response.content_type = "text/event-stream"
    await response.prepare(request)
    await _write(response, sse.OPENING)
    return response


async def _send(response: web.StreamResponse, mailbox: Mailbox) -> None:
    """Raises Closed, TimeoutError and what a broken connection raises; never returns."""
    while True:
        await _write(response, await mailbox.take(COMMENT_EVERY_S) or sse.COMMENT)


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(STALLED_S):
        await response.write(data)
