"""Server-sent events: reading them, and taking up a broken stream where it ended."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from cli.client import API, checked

if TYPE_CHECKING:
    from cli.connection import Connection, Lines

SILENCE_S = 45.0
"""The server writes at least a comment every 15 s; a stream that says nothing for this long is dead."""


class Cut(Exception):
    """The connection broke, or fell silent, before the answer was whole."""


@dataclass(frozen=True)
class Said:
    """One event. Without a kind it was only a sign of life."""

    kind: str = ""
    data: str = ""


class Feed:
    """The live stream of some runs. Each `said()` opens it again, after the last event that was heard."""

    def __init__(self, connection: "Connection", **chosen: str) -> None:
        self._connection = connection
        self._path = f"{API}/stream?{urlencode(chosen)}"
        self._last = ""

    def said(self, until: float) -> Iterator[Said]:
        """Events as they come, and a sign of life at least as often as the server gives one, first of all when the
        stream is open. Ends at `until` (monotonic seconds). Raises Cut when the stream breaks or cannot be had."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self._last} if self._last else {})
        silence = max(0.1, min(SILENCE_S, until - time.monotonic()))
        with self._connection.stream(self._path, headers, silence) as (answer, lines):
            if answer.status in {401, 403}:
                checked(answer)
            if answer.status != 200 or "event-stream" not in answer.headers.get("Content-Type", ""):
                raise Cut(f"no stream, but status {answer.status}")
            yield Said()
            yield from self._read(lines, until)

    def _read(self, lines: "Lines", until: float) -> Iterator[Said]:
        fields: dict[str, list[str]] = {}
        while (left := until - time.monotonic()) > 0:
            line = lines.next(min(SILENCE_S, left)).decode("utf-8", "replace").rstrip("\r\n")
            if not line:
                if fields.get("id"):
                    self._last = fields["id"][-1]
                if fields.get("data"):
                    yield Said(fields.get("event", ["message"])[-1], "\n".join(fields["data"]))
                fields = {}
            elif line.startswith(":"):
                yield Said()
            else:
                name, _, value = line.partition(":")
                fields.setdefault(name, []).append(value.removeprefix(" "))
