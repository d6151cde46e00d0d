"""What waits to be sent to one browser; bounded, whatever the browser does.

Events come from a stream that waits for nobody: if they do not fit, the browser is cut and resumes by number. Output
can be read again at any time: whoever has more of it waits for room.
"""

import asyncio
from collections import deque
from collections.abc import Callable

MOST_EVENTS_BYTES = 2 * 1024 * 1024
MOST_EVENTS = 1000
MOST_OUTPUT_BYTES = 512 * 1024
WRITE_BYTES = 64 * 1024
"""About as much is written at once."""


class Closed(Exception):
    """Nothing more will be sent."""


class Mailbox:
    def __init__(self, overflow: Callable[[], None]) -> None:
        """`overflow` is called once, if the browser does not keep up with the events; nothing more is sent then."""
        self._overflow = overflow
        self._waiting: deque[tuple[bytes, bool]] = deque()
        """Bytes, and whether they are output."""
        self._event_bytes = self._output_bytes = self._events = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._closed = False

    def offer(self, chunk: bytes) -> None:
        """An event. If there is no room the browser is cut."""
        if self._closed:
            return
        if self._events >= MOST_EVENTS or self._event_bytes + len(chunk) > MOST_EVENTS_BYTES:
            self._waiting.clear()
            self.close()
            self._overflow()
            return
        self._waiting.append((chunk, False))
        self._events += 1
        self._event_bytes += len(chunk)
        self._arrived.set()

    async def put(self, chunk: bytes) -> None:
        """Output; waits until there is room."""
        while self._output_bytes >= MOST_OUTPUT_BYTES:
            self._room.clear()
            await self._room.wait()
        self._waiting.append((chunk, True))
        self._output_bytes += len(chunk)
        self._arrived.set()

    async def take(self, wait_s: float) -> bytes:
        """What is next, or nothing when `wait_s` passed without any. Raises Closed."""
        try:
            async with asyncio.timeout(wait_s):
                await self._arrived.wait()
        except TimeoutError:
            return b""
        if not self._waiting:
            raise Closed
        return self._take()

    def close(self) -> None:
        """Send what waits, and then no more."""
        self._closed = True
        self._arrived.set()

    def _take(self) -> bytes:
        taken = bytearray()
        while self._waiting and len(taken) < WRITE_BYTES:
            chunk, is_output = self._waiting.popleft()
            taken += chunk
            if is_output:
                self._output_bytes -= len(chunk)
            else:
                self._event_bytes -= len(chunk)
                self._events -= 1
        if not self._waiting and not self._closed:
            self._arrived.clear()
        self._room.set()
        return bytes(taken)
