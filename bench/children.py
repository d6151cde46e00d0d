"""Processes of a measurement: they are told and answer in lines of JSON, and end when their stdin does.

So a child never outlives its measurement, however that ends.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from bench.running import only_warnings, raise_open_files

ENDS_S = 20.0
LINE_BYTES = 64 * 1024 * 1024

Said = dict[str, Any]


class ChildFailed(Exception):
    """A child ended or said something else; the message has the end of its log."""


class Child:
    def __init__(self, module: str, log: Path, process: asyncio.subprocess.Process) -> None:
        self.module = module
        self._log = log
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def tell(self, **message: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        await self._process.stdin.drain()

    async def answer(self) -> Said:
        """Its next line. Raises ChildFailed."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise ChildFailed(f"{self.module} ended:\n{self._log.read_text(errors='replace')[-3000:]}")
        said: Said = json.loads(line)
        return said

    async def ask(self, **message: Any) -> Said:
        await self.tell(**message)
        return await self.answer()

    async def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(ENDS_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@contextlib.asynccontextmanager
async def child(module: str, log: Path, *, python: str = sys.executable) -> AsyncIterator[Child]:
    """`python -m <module>`, from the project's folder."""
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            python,
            "-m",
            module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=file,
            cwd=Path(__file__).parents[1],
            limit=LINE_BYTES,
            start_new_session=True,
        )
    started = Child(module, log, process)
    try:
        yield started
    finally:
        await asyncio.shield(started.end())


async def told() -> AsyncIterator[Said]:
    """In a child: what it is told, until the measurement ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        said: Said = json.loads(line)
        yield said


def say(**message: Any) -> None:
    """In a child: answer."""
    print(json.dumps(message), flush=True)


def serve(work: Callable[[], Awaitable[None]]) -> None:
    """In a child: Ctrl-C is the measurement's business, and stdout is for answers alone."""
    raise_open_files()
    only_warnings()

    async def main() -> None:
        await work()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
