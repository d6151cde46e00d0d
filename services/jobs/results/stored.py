"""Tells hosts that what they sent is kept, so that they may free it. A host believes nobody else.

Of a report that came for the first time the receipt is told that its task's grant has promised, which costs a third of
a signed word. Whatever else there is, and what comes again, is told signed: a host that has started anew, or got its
grant under another key, knows no promise.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence

import msgspec

from contracts import subjects
from contracts.agents import Receipts as Receipted
from contracts.agents import Stored, StoredItem, Verb
from runtime.bus import Bus, Disconnected
from runtime.signing import sha256
from services.jobs.dispatch.grants import Grants
from services.jobs.dispatch.receipts import Receipts
from services.jobs.results.documents import Arrived

SLICE = 25
LASTS_S = 300.0
GATHER_S = 2.0
"""Nobody waits for this word, and telling a host costs more work on the way than storing what it is about: it comes
when the burst of a run is over, and one for all that the host sent meanwhile."""
AGAIN_S = 1.0
MOST_ITEMS = 5000
"""In one message; some 300 KB."""
_encoder = msgspec.json.Encoder()

Host = tuple[str, str]
"""IDC and id."""


class Telling:
    """One message per host, without a reply: a lost one is made good when the host sends again."""

    def __init__(self, bus: Bus, grants: Grants, receipts: Receipts) -> None:
        self._bus, self._grants, self._receipts = bus, grants, receipts
        self._untold: dict[Host, list[StoredItem]] = {}
        self._signed: set[Host] = set()
        """Those of them that receipts are not enough for."""
        self._news = asyncio.Event()

    def later(self, arrived: Iterable[Arrived], *, signed: bool = False) -> None:
        """These are in MongoDB. All but reports are to be told `signed`."""
        for each in arrived:
            origin = each.origin
            host = (origin.idc, origin.host)
            self._untold.setdefault(host, []).append(StoredItem(origin.task, each.n))
            if signed:
                self._signed.add(host)
            self._news.set()

    async def run(self) -> None:
        """Until cancelled; what was stored until then is told."""
        try:
            while True:
                await self._news.wait()
                await asyncio.sleep(GATHER_S)
                self._news.clear()
                try:
                    await self._tell()
                except Disconnected:
                    self._news.set()
                    await asyncio.sleep(AGAIN_S)
        finally:
            with contextlib.suppress(Disconnected):
                await self._tell()

    async def _tell(self) -> None:
        """Raises Disconnected; the rest is then still to be told."""
        for number, host in enumerate(list(self._untold)):
            # Both are taken at once: what comes while this is told is told by itself, in its own way.
            items, signed = self._untold.pop(host), host in self._signed
            self._signed.discard(host)
            try:
                for start in range(0, len(items), MOST_ITEMS):
                    await self._tell_host(host, items[start : start + MOST_ITEMS], signed=signed)
            except BaseException:
                self._untold[host] = items + self._untold.get(host, [])
                self._signed |= {host} if signed else set()
                raise
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)

    async def _tell_host(self, host: Host, items: Sequence[StoredItem], *, signed: bool) -> None:
        if signed:
            body = _encoder.encode(Stored(items=tuple(items)))
            headers = self._grants.headers(Verb.STORED, host[1], sha256=sha256(body), lasts_s=LASTS_S)
        else:
            receipts = {item.task: self._receipts.of(item.task, host[1]) for item in items}
            body, headers = _encoder.encode(Receipted(receipts=receipts)), {}
        await self._bus.connection.publish(subjects.command(*host), body, headers=headers)
