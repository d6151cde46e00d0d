"""`drover` as a person has it: a process, in a terminal if need be, and a network between it and the gateway."""

import asyncio
import contextlib
import os
import pty
import select
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from bootstrap.certificates import Authority
from tests.plane import PROJECT, Plane

PATIENCE_S = 120.0


def environment(plane: Plane, home: Path, **more: str) -> dict[str, str]:
    """Of somebody who is logged in through the environment; `DROVER_URL=""` and the like take that away."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    made = {**kept, "HOME": str(home), "DROVER_URL": plane.url, "DROVER_TOKEN": plane.token, "TERM": "xterm", **more}
    return {key: value for key, value in made.items() if value}


async def drover(environ: Mapping[str, str], *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", *arguments]
    return await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=PROJECT,
        env=environ,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


class Terminal:
    """A process whose standard streams are a terminal of its own, which also sends the signals of its keys."""

    def __init__(self, environ: Mapping[str, str], *arguments: str) -> None:
        self._own, theirs = pty.openpty()
        self._process = subprocess.Popen(
            # Whoever runs the tests in the background ignores Ctrl-C, and children inherit that; a terminal's do not.
            ["env", "--default-signal=INT,QUIT", "setsid", "--ctty", sys.executable, "-m", "cli", *arguments],
            cwd=PROJECT,
            env=environ,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self.screen = ""

    async def until(self, text: str) -> None:
        """Wait until `text` was shown."""
        await asyncio.to_thread(self._read, text)

    def _read(self, text: str | None) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while text is None or text not in self.screen:
            assert time.monotonic() < deadline, f"{text!r} was not shown: {self.screen}"
            if select.select([self._own], [], [], 0.2)[0]:
                try:
                    piece = os.read(self._own, 65536)
                except OSError:  # the terminal's other side is closed
                    piece = b""
                assert piece or text is None, f"it ended without {text!r}: {self.screen}"
                if not piece:
                    return
                self.screen += piece.decode(errors="replace").replace("\r\n", "\n")

    def type(self, keys: str) -> None:
        os.write(self._own, keys.encode())

    async def interrupted(self) -> int:
        """Press Ctrl-C until it ends; its exit status. Python misses a signal that falls between its last look at
        signals and its read of the terminal, and only then is a second one needed."""
        self.type("\x03")
        deadline = time.monotonic() + PATIENCE_S
        while not await asyncio.to_thread(self._ends_soon):
            assert time.monotonic() < deadline, f"Ctrl-C does not end it: {self.screen}"
            self.type("\x03")
        return await self.status()

    def _ends_soon(self) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        return self._process.returncode is not None

    async def status(self) -> int:
        """The exit status, once everything it said was read."""
        await asyncio.to_thread(self._read, None)
        return await asyncio.to_thread(self._process.wait, PATIENCE_S)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._own)


@contextlib.asynccontextmanager
async def terminal(environ: Mapping[str, str], *arguments: str) -> AsyncIterator[Terminal]:
    made = Terminal(environ, *arguments)
    try:
        yield made
    finally:
        made.close()


class Wire:
    """A TCP relay in front of the gateway that can be cut, and that can be deaf to the live stream."""

    def __init__(self, port: int, *, deaf_to_streams: bool = False) -> None:
        self._to = port
        self._deaf = deaf_to_streams
        self._open: set[asyncio.StreamWriter] = set()
        self.streams: list[str] = []
        """The heads of the requests for a stream that came this way."""
        self.numbered = 0
        """Pieces of streams with a number to resume from."""
        self.url = ""

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.read(65536)
        is_stream = b"/api/v1/stream" in head
        if is_stream and self._deaf:
            self.streams.append(head.decode())
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._open |= {writer, far_writer}
        if is_stream:
            self.streams.append(head.decode())
        far_writer.write(head)
        await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))
        self._open -= {writer, far_writer}

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
                self.numbered += b"id: " in piece
        writer.close()

    def cut(self, *, whole: bool = False) -> None:
        """With `whole`, what has come this far still arrives; else it may be lost on the last metre."""
        for writer in self._open:
            if whole:
                writer.close()
            else:
                writer.transport.abort()


@contextlib.asynccontextmanager
async def wire(plane: Plane, *, deaf_to_streams: bool = False, tls: Path | None = None) -> AsyncIterator[Wire]:
    """With `tls`, the folder of an authority to be made, the wire speaks TLS towards the command line."""
    made = Wire(plane.ports["gateway"], deaf_to_streams=deaf_to_streams)
    context = _server_context(tls) if tls else None
    server = await asyncio.start_server(made.carry, "127.0.0.1", 0, ssl=context)
    made.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        try:
            yield made
        finally:
            made.cut()


def _server_context(folder: Path) -> ssl.SSLContext:
    folder.mkdir()
    Authority(folder, datetime.now(UTC)).server("gateway", ["127.0.0.1"], datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "gateway.crt", folder / "gateway.key")
    return context
