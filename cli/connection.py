"""One server over HTTP: requests on a connection that is kept, and a stream on one of its own.

The standard library speaks HTTP here because it starts in milliseconds; a command line is started all day. Even these
are many for `--help`, so this module is imported only where something is sent.
"""

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from urllib.parse import urlsplit

import click

from cli.exits import Unreachable
from cli.stream import Cut

ANSWER_S = 60.0
"""A request that nobody answered within this is given up."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes


class Connection:
    def __init__(self, url: str, token: str = "", ca: str = "") -> None:
        parts = urlsplit(url)
        self.url = url
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.tls = parts.scheme == "https"
        self._folder = parts.path
        self._token = token
        self._ca = ca
        self._kept: http.client.HTTPConnection | None = None

    def exchange(
        self, method: str, path: str, body: bytes | None = None, *, repeatable: bool, cookie: str = ""
    ) -> Answer:
        """Send one request; a repeatable one is sent again if the connection died under it. Raises Unreachable.

        What is not repeatable gets a fresh connection, since one that was kept may be dead without anybody knowing,
        and then nobody could tell whether the request had been heard.
        """
        headers = self._headers() | ({"Cookie": cookie} if cookie else {})
        if body is not None:
            headers["Content-Type"] = "application/json"
        for again in (True, False) if repeatable else (False,):
            if not repeatable:
                self.close()
            try:
                return self._once(method, path, body, headers)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if not again:
                    raise Unreachable(f"{self.url} did not answer: {cause(error)}", "drover doctor") from None
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _once(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        if self._kept is None:
            self._kept = self.open(ANSWER_S)
        self._kept.request(method, self._folder + path, body, headers)
        answer = self._kept.getresponse()
        return Answer(answer.status, answer.headers, answer.read())

    @contextlib.contextmanager
    def stream(self, path: str, headers: Mapping[str, str], silence_s: float) -> Iterator[tuple[Answer, "Lines"]]:
        """Open a stream of lines. Raises Cut if it cannot be opened; its Lines raise Cut when it ends."""
        own = self.open(silence_s)
        try:
            own.connect()
            wire = own.sock
            own.request("GET", self._folder + path, headers=self._headers() | dict(headers))
            answer = own.getresponse()
            body = answer.read() if answer.status != http.client.OK else b""
            yield Answer(answer.status, answer.headers, body), Lines(wire, answer)
        except (OSError, http.client.HTTPException) as error:
            raise Cut(cause(error)) from None
        finally:
            own.close()

    @contextlib.contextmanager
    def bytes(
        self, method: str, path: str, headers: Mapping[str, str], silence_s: float, body: Iterable[bytes] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """A request of its own whose body or answer is large. Raises OSError and HTTPException as they come."""
        own = self.open(silence_s)
        try:
            own.request(method, self._folder + path, body, self._headers() | dict(headers))
            yield own.getresponse()
        finally:
            own.close()

    def open(self, timeout_s: float) -> http.client.HTTPConnection:
        if not self.tls:
            return http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout_s, context=self.trust())

    def trust(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._ca or None)
        except OSError as error:
            raise click.UsageError(f"cannot use the certificates in {self._ca}: {error.strerror}") from None

    def _headers(self) -> dict[str, str]:
        told = {"Accept": "application/json", "User-Agent": "drover-cli"}
        return told | ({"Authorization": f"Bearer {self._token}"} if self._token else {})

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None


class Lines:
    """The lines of a stream, as they come."""

    def __init__(self, wire: socket.socket, answer: http.client.HTTPResponse) -> None:
        self._wire = wire
        self._answer = answer

    def next(self, timeout_s: float) -> bytes:
        """The next line with its end. Raises Cut at the end of the stream, or when nothing came in time: then too the
        stream is over, since a buffered reader cannot go on after a time-out."""
        self._wire.settimeout(timeout_s)
        line = self._answer.readline()
        if not line.endswith(b"\n"):
            raise Cut("the stream ended")
        return line


def cause(error: BaseException) -> str:
    """The error in words that mean something to a person."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "it does not speak TLS as it should"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "the connection broke" if isinstance(error, OSError) else "it does not speak HTTP as it should"
