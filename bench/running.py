"""Runs one measurement, so that it ends by itself whatever happens and leaves nothing behind."""

import argparse
import asyncio
import contextlib
import logging
import resource
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

MEMORY = Path("/dev/shm")  # noqa: S108  a folder of our own is made below it


@dataclass(frozen=True)
class Workplace:
    """Both folders are gone at the end."""

    disk: Path
    """Data of the servers, which must really be written, and all logs."""
    memory: Path
    """State of simulated hosts: a thousand of them share one disk here, which no real host does."""


def options(description: str, *, agents: int, rounds: int = 3) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds, help="how often limit and Drover are measured in turn")
    if agents:
        parser.add_argument("--agents", type=int, default=agents, help="how many hosts")
    return parser


def run(measure: Callable[[Workplace], Awaitable[None]], *, longest_s: float) -> None:
    """Call `measure` and exit: 0, 1 if it failed or took too long, 128 + the signal that stopped it."""
    raise_open_files()
    only_warnings()
    status = 1
    try:
        with asyncio.Runner() as runner, _workplace() as place:
            status = runner.run(_bounded(measure, place, longest_s))
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    sys.exit(status)


async def _bounded(measure: Callable[[Workplace], Awaitable[None]], place: Workplace, longest_s: float) -> int:
    loop, stopped_by = asyncio.get_running_loop(), 0
    work = asyncio.ensure_future(measure(place))

    def stop(number: int) -> None:
        nonlocal stopped_by
        stopped_by = number
        work.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    try:
        await asyncio.wait_for(work, longest_s)
    except asyncio.CancelledError:
        print("stopped", file=sys.stderr)
        return 128 + stopped_by
    except TimeoutError:
        print(f"stopped: it took longer than {longest_s:g} s", file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def _workplace() -> Iterator[Workplace]:
    in_memory = MEMORY if MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="drover-bench-") as disk,
        tempfile.TemporaryDirectory(prefix="drover-bench-", dir=in_memory) as memory,
    ):
        Path(memory).chmod(0o711)
        yield Workplace(Path(disk), Path(memory))


def only_warnings() -> None:
    """On stderr. asyncio's own warnings are about connections that end together with their servers."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.getLogger("asyncio").setLevel(logging.ERROR)


def raise_open_files() -> None:
    """Thousands of connections in one process: take as many open files as the system allows us."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
