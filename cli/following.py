"""One host's output as it comes, to its end: every byte once and in order.

The stream tells live what the store has only seconds later. When it breaks, what was stored meanwhile is read, and the
stream is opened again behind it.
"""

import math
import time
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from cli.client import Client
from cli.stream import Cut, Feed
from contracts.runs import ReadOutput, read_output

EVERY_S = 1.0
"""How often a host is asked for more while no stream can be had."""


class Spoken(Struct, frozen=True, kw_only=True):
    """Data of the stream's `output` and `output.end`; the latter has no text."""

    offset: int = 0
    text: str = ""


class Following:
    def __init__(self, client: Client, run: str, host: str, offset: int) -> None:
        self._client = client
        self._run = run
        self._host = host
        self._at = offset
        self._ended = False

    def texts(self) -> Iterator[str]:
        while not self._ended:
            try:
                yield from self._live()
            except Cut:
                time.sleep(EVERY_S)
                yield from self._stored()

    def _live(self) -> Iterator[str]:
        """Until the stream breaks or the output ends. A host that is tried again begins a new text."""
        feed = Feed(self._client.connection, runs=self._run, output=f"{self._run}:{self._host}:{self._at}")
        for said in feed.said(math.inf):
            if said.kind not in {"output", "output.end"}:
                continue
            spoken = msgspec.json.decode(said.data, type=Spoken)
            if said.kind == "output.end":
                self._ended = True
                return
            self._at = spoken.offset + len(spoken.text.encode())
            yield spoken.text

    def _stored(self) -> Iterator[str]:
        """All that can be read by now."""
        while True:
            asked = ReadOutput(run=self._run, host=self._host, offset=self._at)
            piece = self._client.call(read_output, asked)
            yield piece.text
            stuck, self._at = piece.next_offset <= self._at, piece.next_offset
            if stuck or self._at >= piece.stored_bytes:
                self._ended = piece.complete
                return
