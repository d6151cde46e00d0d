"""What is stored while a host is told of something else is told in its own way."""

import asyncio
import contextlib
from datetime import UTC, datetime
from types import SimpleNamespace

from msgspec import json

from contracts.agents import OutputChunk, Report
from contracts.states import Outcome
from runtime.signing import Signer
from services.jobs.dispatch.grants import Grants
from services.jobs.dispatch.receipts import Receipts
from services.jobs.results.documents import Arrived, Origin
from services.jobs.results.stored import Telling

ORIGIN = Origin("js", "h1", "t1")
RECEIPTS = Receipts(b"s" * 32)


class Connection:
    """Something is stored while the first message is on its way, which may take as long as the connection is full."""

    def __init__(self):
        self.sent, self.meanwhile = [], []

    async def publish(self, subject, body, *, headers):
        self.sent.append((json.decode(body), bool(headers)))
        for later in self.meanwhile:
            later()
        self.meanwhile.clear()


async def told(telling):
    """All that is to be told now, as at the end of the service."""
    task = asyncio.create_task(telling.run())
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_piece_of_output_never_earns_the_receipt_of_a_report():
    connection = Connection()
    grants = Grants(Signer(b"s" * 32, b"test\0"), "jobs-1", RECEIPTS)
    telling = Telling(SimpleNamespace(connection=connection), grants, RECEIPTS)
    report = Report(task="t0", outcome=Outcome.SUCCEEDED, ended_at=datetime.now(UTC))
    piece = OutputChunk(task="t1", n=1, offset=0, text="x")
    connection.meanwhile = [lambda: telling.later([Arrived(ORIGIN, piece)], signed=True)]
    telling.later([Arrived(ORIGIN._replace(task="t0"), report)])
    await told(telling)
    await told(telling)
    assert connection.sent == [
        ({"receipts": {"t0": RECEIPTS.of("t0", "h1")}}, False),
        ({"items": [["t1", 1]]}, True),
    ]
