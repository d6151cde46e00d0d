"""How far a run or a transfer is, as a bar on stderr while somebody looks; elsewhere it says nothing."""

from types import TracebackType
from typing import TYPE_CHECKING

from cli.folding import in_words
from cli.terminal import can_show_progress
from contracts.runs import Counts
from contracts.states import Live

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Meter:
    """Bytes that got through, with rate and estimate."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "Meter":
        if can_show_progress():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )

            named = TextColumn("{task.description}")
            columns = (named, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, done: int, total: int) -> None:
        if self._progress is None:
            return
        if self._task is None:
            self._task = self._progress.add_task(self._what, total=total)
        self._progress.update(self._task, total=total, completed=done)


class Bar:
    def __init__(self, *, wanted: bool = True) -> None:
        self._wanted = wanted and can_show_progress()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "Bar":
        if self._wanted:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, counts: Counts, hosts: int) -> None:
        if self._progress is None:
            return
        if self._task is None:
            self._task = self._progress.add_task("", total=hosts)
        live = sum(getattr(counts, state) for state in Live)
        self._progress.update(self._task, total=hosts, completed=hosts - live, description=in_words(counts))
