"""Batches handed to child processes, which live as long as their batch, and what came back.

The next child is started ahead: a Python that has loaded Jinja takes longer to start than a thousand hosts to render.
"""

import asyncio
import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import structlog

from contracts.errors import Invalid
from services.config.templates import sandbox

WALL_S = 10.0
"""Only for a machine that is too busy: the child counts CPU time by itself."""
MOST_CHILDREN = 4
"""At work at once; further batches wait. Together they may take four times the memory of one."""
MOST_ANSWER_BYTES = 64 * 1024 * 1024

log = structlog.get_logger()


class Problem(msgspec.Struct, frozen=True):
    """Why a template, or one host's part of it, could not be rendered. `name` is the variable that was undefined."""

    kind: str
    line: int
    name: str
    message: str


class Read(msgspec.Struct, frozen=True):
    """A variable that the template reads. Optional: only with `default` or `is defined`."""

    path: tuple[str, ...]
    line: int
    optional: bool


class Result(msgspec.Struct, frozen=True):
    """Either of the two is there."""

    text: str | None = None
    error: Problem | None = None


class Answer(msgspec.Struct, frozen=True):
    reads: tuple[Read, ...]
    results: tuple[Result, ...]
    error: Problem | None


@dataclass(frozen=True)
class Context:
    """What a host's rendering is filled with. Contexts with the same tree of variables share it on the way."""

    variables: Mapping[str, Any]
    own: Mapping[str, Any] = field(default_factory=dict)
    """Names that only this host has: `inventory_hostname`, `host`, `group_names`."""


TOO_EXPENSIVE = Problem("expensive", 0, "", "")


class Renderer:
    """Renders in children. `async with` starts the first one and ends the last."""

    def __init__(self) -> None:
        self._next: asyncio.Task[asyncio.subprocess.Process] | None = None
        self._at_work = asyncio.Semaphore(MOST_CHILDREN)

    async def __aenter__(self) -> "Renderer":
        self._start_next()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._next is not None:
            await _end(await self._next)

    async def inspect(self, text: str) -> tuple[Read, ...]:
        """The variables that the template reads. Raises Invalid if it is no template that we take."""
        answer = await self._ask({"text": text})
        refuse(answer.error)
        return answer.reads

    async def render(
        self,
        text: str,
        contexts: Sequence[Context],
        *,
        common: Mapping[str, Any] | None = None,
        most_bytes: int = MOST_ANSWER_BYTES // 2,
        quiet: bool = False,
    ) -> list[Result]:
        """One result for each context in their order; fewer when the texts grow past `most_bytes` or rendering takes
        some seconds, then ask again for the others.

        `common` is what `global` reads. `quiet` keeps messages free of values. Raises Invalid if the template is none,
        or needs too much for one host.
        """
        batch = await asyncio.to_thread(_batch, text, contexts, common or {}, most_bytes, quiet)
        answer = await self._ask(batch)
        refuse(answer.error)
        for result in answer.results:
            if result.error is not None and result.error.kind == "expensive":
                refuse(result.error)
        return list(answer.results)

    async def _ask(self, batch: Mapping[str, Any]) -> Answer:
        data = await asyncio.to_thread(msgspec.json.encode, batch)
        async with self._at_work:
            said = await self._child_says(data)
        if said is None:
            return Answer((), (), TOO_EXPENSIVE)
        return await asyncio.to_thread(msgspec.json.decode, said, type=Answer)

    async def _child_says(self, data: bytes) -> bytes | None:
        """None if the child was ended by one of its limits."""
        started, self._next = self._next or self._start_next(), None
        child = await started
        try:
            async with asyncio.timeout(WALL_S):
                said, _ = await asyncio.gather(_all_of(child), _hand_over(child, data))
                await child.wait()
        except TimeoutError:
            said = None
        finally:
            await _end(child)
            if self._next is None:
                self._start_next()
        if child.returncode != 0 or said is None:
            log.warning("template.child_ended", status=child.returncode)
            return None
        return said

    def _start_next(self) -> "asyncio.Task[asyncio.subprocess.Process]":
        self._next = asyncio.create_task(_start())
        return self._next


def _batch(
    text: str, contexts: Sequence[Context], common: Mapping[str, Any], most_bytes: int, quiet: bool
) -> dict[str, Any]:
    values, trees = _Once(), _Once()
    hosts = [{"tree": trees.index(each.variables), "own": each.own} for each in contexts]
    return {
        "text": text,
        "trees": [{name: values.index(value) for name, value in tree.items()} for tree in trees.kept],
        "values": values.kept,
        "hosts": hosts,
        "global": common,
        "most_bytes": most_bytes,
        "quiet": quiet,
    }


class _Once:
    """Objects, each kept once however many share it."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self._known: dict[int, int] = {}

    def index(self, value: Any) -> int:
        found = self._known.setdefault(id(value), len(self.kept))
        if found == len(self.kept):
            self.kept.append(value)
        return found


_REASONS = {
    "syntax": "template.malformed",
    "undefined": "template.undefined",
    "refused": "template.refused",
    "expensive": "template.too_expensive",
    "output": "template.bad_output",
    "failed": "template.failed",
}


def reason_of(problem: Problem) -> str:
    return _REASONS[problem.kind]


def refuse(problem: Problem | None) -> None:
    """Raise Invalid if there is a problem."""
    if problem is not None:
        raise refusal(problem)


def refusal(problem: Problem, who: str = "") -> Invalid:
    """`who` names the hosts that it was met for."""
    message = problem.message
    if problem.kind == "expensive":
        message = f"it needs more than {sandbox.HOST_CPU_S} s of CPU or {sandbox.MEMORY_BYTES >> 20} MiB for one host"
    where = f"line {problem.line}: " if problem.line else ""
    text = f"{f'For {who}, ' if who else ''}{where}{message.rstrip('.')}."
    return Invalid(reason_of(problem), text[0].upper() + text[1:], {"line": problem.line, "name": problem.name})


async def _start() -> asyncio.subprocess.Process:
    # -I: neither the environment nor the folder decides what is loaded. The child gets no variable of ours.
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(Path(sandbox.__file__)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        start_new_session=True,
        limit=1024 * 1024,
    )


async def _hand_over(child: asyncio.subprocess.Process, data: bytes) -> None:
    assert child.stdin is not None  # noqa: S101  it was asked for
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        child.stdin.write(data)
        await child.stdin.drain()
        child.stdin.close()
        await child.stdin.wait_closed()


async def _all_of(child: asyncio.subprocess.Process) -> bytes | None:
    """None if it says more than any batch may."""
    assert child.stdout is not None  # noqa: S101  it was asked for
    pieces, size = [], 0
    while piece := await child.stdout.read(1024 * 1024):
        size += len(piece)
        if size > MOST_ANSWER_BYTES:
            return None
        pieces.append(piece)
    return b"".join(pieces)


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
