"""The NATS protocol by hand: what a client in any other language does, with a socket and an Ed25519 key only."""

import base64
import json
import socket
import ssl
from collections import deque

from runtime.nats_jwt import read_credentials


class PlainNats:
    """Connects with the content of a credentials file; TLS comes before the server's first word."""

    def __init__(self, address: str, credentials: str, ca: str, inbox: str) -> None:
        host, port = address.removeprefix("tls://").rsplit(":", 1)
        context = ssl.create_default_context(cadata=ca)
        self._socket = context.wrap_socket(
            socket.create_connection((host, int(port)), timeout=90), server_hostname=host
        )
        self._lines = self._socket.makefile("rb")
        self._inbox = inbox
        self._count = 0
        self._events: deque[object] = deque()
        """Messages that came before the answer that was waited for."""
        info = json.loads(self._lines.readline().removeprefix(b"INFO "))
        jwt, key = read_credentials(credentials)
        signature = base64.urlsafe_b64encode(key.sign(info["nonce"].encode())).decode().rstrip("=")
        options = {"jwt": jwt, "sig": signature, "verbose": False, "pedantic": False, "headers": True, "no_responders": True,
                   "protocol": 1, "lang": "plain", "version": "1"}  # fmt: skip
        self._send(f"CONNECT {json.dumps(options)}\r\nPING\r\n")
        assert self._line() == "PONG"

    def request(self, subject: str, message: object) -> tuple[dict[str, str], object]:
        """Headers and JSON of the answer."""
        self._count += 1
        inbox = f"{self._inbox}.{self._count}"
        data = json.dumps(message).encode()
        self._send(f"SUB {inbox} {self._count}\r\nPUB {subject} {inbox} {len(data)}\r\n{data.decode()}\r\n")
        while True:
            subscription, headers, answer = self._message()
            if subscription == self._count:
                return headers, answer
            self._events.append(answer)

    def subscribe(self, subject: str) -> None:
        self._count += 1
        self._send(f"SUB {subject} {self._count}\r\nPING\r\n")
        assert self._line() == "PONG"

    def publish_is_refused(self, subject: str) -> bool:
        self._send(f"PUB {subject} 2\r\n{{}}\r\nPING\r\n")
        said = self._line()
        if said == "PONG":
            return False
        assert said.startswith("-ERR 'Permissions Violation"), said
        assert self._line() == "PONG"
        return True

    def next_message(self) -> object:
        return self._events.popleft() if self._events else self._message()[2]

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def _send(self, text: str) -> None:
        self._socket.sendall(text.encode())

    def _line(self) -> str:
        while (line := self._lines.readline().decode().strip()).startswith("INFO"):
            pass
        if line == "PING":
            self._send("PONG\r\n")
            return self._line()
        return line

    def _message(self) -> tuple[int, dict[str, str], object]:
        """Number of the subscription, headers and JSON."""
        kind, *parts = self._line().split()
        headers: dict[str, str] = {}
        size = int(parts[-1])
        data = self._lines.read(size + 2)[:size]
        if kind == "HMSG":
            head, data = data[: int(parts[-2])], data[int(parts[-2]) :]
            lines = head.decode().split("\r\n")[1:]
            headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
        return int(parts[1]), headers, json.loads(data) if data else None
