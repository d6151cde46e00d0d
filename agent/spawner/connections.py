"""One agent's end of the socket: bytes to requests, answers to bytes. Never blocks."""

import socket
import sys

from agent.spawner.protocol import MAX_LINE_BYTES, encode

READ_BYTES = 65536
MAX_UNREAD_BYTES = 64 * 1024 * 1024
"""An agent that does not read its answers is cut off; it finds the records in the tasks' folders."""


class Lost(Exception):
    """The other side is gone, or broke the rules."""


class Connection:
    __slots__ = ("_in", "_out", "_socket", "blocked", "pid")

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._in = bytearray()
        self._out = bytearray()
        self.blocked = False
        """Whether answers wait for the agent to read."""
        credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        self.pid = int.from_bytes(credentials[:4], sys.byteorder)
        """Of the agent process."""

    def fileno(self) -> int:
        return self._socket.fileno()

    def lines(self) -> list[bytes]:
        """The requests that have come in. Raises Lost."""
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return []
        except OSError as error:
            raise Lost(str(error)) from None
        if not data:
            raise Lost("closed")
        self._in += data
        if b"\n" not in data:
            if len(self._in) > MAX_LINE_BYTES:
                raise Lost("a request is too long")
            return []
        *complete, rest = bytes(self._in).split(b"\n")
        self._in = bytearray(rest)
        return complete

    def say(self, message: dict[str, object]) -> None:
        """Goes out with the next `flush`, so that a burst of answers is one system call."""
        self.say_encoded(encode(message))

    def say_encoded(self, line: bytes) -> None:
        self._out += line

    def flush(self) -> bool:
        """Send what the socket takes. True if `blocked` has changed. Raises Lost."""
        if self._out:
            try:
                sent = self._socket.send(self._out)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                raise Lost(str(error)) from None
            del self._out[:sent]
            if len(self._out) > MAX_UNREAD_BYTES:
                raise Lost("reads no answers")
        before, self.blocked = self.blocked, bool(self._out)
        return before != self.blocked

    def close(self) -> None:
        self._socket.close()
