"""How many refusals somebody leaves in the trail: a flood of them fills neither it nor the memory of the process."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from contracts.audit import AuditRow

WINDOW_S = 60.0
ROWS = 20
"""In one window, for each who is refused."""

Who = tuple[str, str]


@dataclass
class _Window:
    rows: int = 0
    newest: AuditRow | None = None
    """Of those that have no row of their own."""
    without_row: int = 0


class Refusals:
    """What exceeds ROWS is counted, and told by one more row at the end of the window. A process that dies takes the
    counts of a window with it."""

    def __init__(self, put: Callable[[AuditRow], None]) -> None:
        self._put = put
        self._windows: dict[Who, _Window] = {}

    def note(self, row: AuditRow) -> None:
        who = row.who.kind, row.who.name
        if who not in self._windows:
            self._windows[who] = _Window()
            asyncio.get_running_loop().call_later(WINDOW_S, self._end, who)
        window = self._windows[who]
        if window.rows < ROWS:
            window.rows += 1
            self._put(row)
        else:
            window.newest = row
            window.without_row += 1

    def end(self) -> None:
        """End all windows now."""
        for who in list(self._windows):
            self._end(who)

    def _end(self, who: Who) -> None:
        window = self._windows.pop(who, None)
        if window is not None and window.newest is not None:
            self._put(msgspec.structs.replace(window.newest, more=window.without_row - 1))
