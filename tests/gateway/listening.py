"""A browser's EventSource, as the standard has it."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.servers import READY_S


@dataclass(frozen=True)
class Event:
    kind: str
    id: str
    data: Any


class Ended(Exception):
    """The server ended the stream."""


class Stream:
    def __init__(self, response):
        self.response = response
        self.last_id = ""
        self.comments = 0

    async def next(self, timeout_s=READY_S):
        """The next event; raises Ended."""
        fields = {}
        async with asyncio.timeout(timeout_s):
            while True:
                line = (await self.response.content.readuntil(b"\n")).decode()
                if not line:
                    raise Ended
                line = line.rstrip("\n")
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    assert name not in fields
                    fields[name] = value
                elif "data" in fields:
                    self.last_id = fields.get("id", self.last_id)
                    return Event(fields["event"], fields.get("id", ""), msgspec.json.decode(fields["data"]))
                else:
                    fields = {}

    async def until(self, kind, timeout_s=READY_S):
        """All events up to the first of this kind."""
        found = []
        while not found or found[-1].kind != kind:
            found.append(await self.next(timeout_s))
        return found

    async def take(self, count):
        return [await self.next() for _ in range(count)]

    async def comment(self):
        before = self.comments
        async with asyncio.timeout(READY_S):
            while self.comments == before:
                if (await self.response.content.readuntil(b"\n")).startswith(b":"):
                    self.comments += 1

    async def end(self):
        """Wait for the server to end it; what came before that."""
        found = []
        with contextlib.suppress(Ended):
            while True:
                found.append(await self.next())
        return found


@contextlib.asynccontextmanager
async def stream(client, runs, output="", last_id="", **options):
    """Yields a Stream, or the Answer of a refusal is raised as AssertionError."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    params = {"runs": runs} | ({"output": output} if output else {})
    url = client.address + "/api/v1/stream"
    async with client.http.get(url, params=params, headers=headers, timeout=None, **options) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["X-Accel-Buffering"] == "no"
        yield Stream(response)
