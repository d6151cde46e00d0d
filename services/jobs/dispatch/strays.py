"""Hosts that come back with a script of a run that was stopped while they were away.

Nobody holds such a run any more, so whoever hears the hello sends the cancel. That several instances do is harmless.
"""

import asyncio

import structlog

from contracts.agents import Cancel, Hello, TaskState
from contracts.states import RunState
from runtime.bus import Bus, Disconnected
from runtime.mongo import PyMongoError
from services.jobs.dispatch.grants import Grants
from services.jobs.dispatch.sending import send_cancel
from services.jobs.runs.model import run_of
from services.jobs.runs.store import RunStore

log = structlog.get_logger()

GATHER_S = 1.0
"""After a relay's restart all its hosts say hello; they are looked up together."""
MOST = 10_000
_GOING_ON = (TaskState.ACCEPTED, TaskState.RUNNING)


class Strays:
    def __init__(self, bus: Bus, grants: Grants, runs: RunStore) -> None:
        self._bus, self._grants, self._runs = bus, grants, runs
        self._seen: dict[str, set[tuple[str, str, str]]] = {}
        """Run → (idc, host, task)."""
        self._wake = asyncio.Event()

    def seen(self, idc: str, host: str, hello: Hello) -> None:
        for each in hello.tasks:
            if each.state in _GOING_ON and len(self._seen) < MOST:
                self._seen.setdefault(run_of(each.task), set()).add((idc, host, each.task))
                self._wake.set()

    async def run(self) -> None:
        """Without end."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_S)
            self._wake.clear()
            seen, self._seen = self._seen, {}
            try:
                for run in await self._runs.in_state(RunState.STOPPED, sorted(seen)):
                    for idc, host, task in seen[run]:
                        log.info("stray.cancelled", run=run, host=host)
                        await send_cancel(self._bus, self._grants, idc, host, task, Cancel(why="The run was stopped."))
            except (PyMongoError, Disconnected) as error:
                log.warning("stray.not_cancelled", error=type(error).__name__)
            except Exception:
                log.exception("stray.crashed")
