"""One program, one text, one answer: with an end to its time, its CPU and its memory."""

import asyncio
import contextlib
import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from services.config.scripts import child

CPU_S = 2
WALL_S = 4.0
"""More than the CPU's, since others want that as well; less than whoever asks waits for."""
AT_ONCE = 2
MEMORY_BYTES = 1024**3


class GaveUp(Exception):
    """The program was ended by one of its limits, or failed."""


class Processes:
    """Runs few at a time, since each may keep a core busy."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def said(self, command: Sequence[str], text: bytes, *, statuses: Sequence[int] = (0,)) -> bytes:
        """What the program writes when it reads `text`. Raises GaveUp."""
        async with self._slots:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={"LANG": "C.UTF-8"},
                cwd="/",
                start_new_session=True,
            )
            try:
                _limit(process.pid)
                async with asyncio.timeout(WALL_S):
                    said, _ = await process.communicate(text)
            except TimeoutError as error:
                raise GaveUp(f"more than {WALL_S:.0f} s") from error
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode not in statuses:
            raise GaveUp(f"status {process.returncode}")
        return said

    async def ask(self, request: Mapping[str, Any]) -> Any:
        """What `child` answers. Raises GaveUp."""
        command = [sys.executable, "-I", str(Path(child.__file__))]
        data = await asyncio.to_thread(msgspec.json.encode, request)
        return msgspec.json.decode(await self.said(command, data))


def _limit(pid: int) -> None:
    """Of data, not of addresses: some runtimes reserve far more of these than they ever use."""
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_CPU, (CPU_S, CPU_S))
        resource.prlimit(pid, resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
