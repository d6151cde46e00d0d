"""Following a run to its end.

The stream says when something changed; the truth is what `show` answers. So a broken or missing stream costs time
only: between two attempts to open it again the run is asked for, as often as a person would like to see it move.
"""

import math
import time

import msgspec

from cli.client import Client
from cli.exits import StillRunning, Unreachable
from cli.progress import Bar
from cli.stream import Cut, Feed
from contracts.runs import Run, RunChanged, RunRef, run_changed, show
from contracts.states import LIVE_RUN

CHANGED = f"{run_changed.service}.{run_changed.kind}"
PATIENCE_S = 60.0
"""A server that answers nothing for so long is given up. The run does not mind."""
PAUSES_S = (0.2, 0.5, 1.0, 2.0)
"""Between attempts; the last repeats."""


class Watch:
    def __init__(self, client: Client, run: Run, bar: Bar, timeout_s: float | None = None) -> None:
        self._client = client
        self._run = run
        self._bar = bar
        self._until = math.inf if timeout_s is None else time.monotonic() + timeout_s
        self._heard = time.monotonic()

    def to_the_end(self) -> Run:
        """The run, once it is final. Raises StillRunning when watching takes too long, Unreachable after PATIENCE_S."""
        feed, failures = Feed(self._client.connection, runs=self._run.id), 0
        self._show(self._run)
        while self._run.state in LIVE_RUN:
            try:
                self._listen(feed)
                failures = 0
            except Cut:
                failures += 1
                self._rest(PAUSES_S[min(failures, len(PAUSES_S)) - 1])
                self._ask()
            if time.monotonic() >= self._until and self._run.state in LIVE_RUN:
                raise StillRunning(f"run {self._run.id} goes on", how_to_go_on(self._run.id))
        return self._run

    def _listen(self, feed: Feed) -> None:
        """Follow the stream until the run is final or time is up. A mere sign of life is taken as a moment to ask."""
        for said in feed.said(self._until):
            if not said.kind:
                self._ask()
            elif said.kind == CHANGED and (changed := self._changed(said.data)):
                self._show(changed)
                if changed.state not in LIVE_RUN:
                    self._ask()
            if self._run.state not in LIVE_RUN:
                return

    def _changed(self, data: str) -> RunChanged | None:
        """What the event says, if it is of this run and not from before what is known already."""
        try:
            changed = msgspec.json.decode(data, type=RunChanged)
        except msgspec.DecodeError:
            return None
        return changed if changed.run == self._run.id and changed.revision >= self._run.revision else None

    def _ask(self) -> None:
        try:
            self._run = self._client.call(show, RunRef(run=self._run.id))
        except Unreachable as error:
            if time.monotonic() - self._heard > PATIENCE_S:
                raise Unreachable(error.message, how_to_go_on(self._run.id), error.reason) from None
            return
        self._heard = time.monotonic()
        self._show(self._run)

    def _show(self, known: Run | RunChanged) -> None:
        self._bar.show(known.counts, known.hosts)

    def _rest(self, pause_s: float) -> None:
        time.sleep(max(0.0, min(pause_s, self._until - time.monotonic())))


def how_to_go_on(run: str) -> str:
    return f"watch it again: drover run watch {run}\nstop it:        drover run stop {run}"
