"""What the agent knows of one task, from its command until its result is stored. Pure but for the lock."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

from agent.journal import Row, Span
from agent.spawning import EndedBy, ExitRecord
from contracts.agents import Report, TaskState
from contracts.states import Outcome

OUTPUT_NAME = "output"

_ENDINGS: dict[EndedBy, Outcome] = {
    "timed_out": Outcome.TIMED_OUT,
    "stopped": Outcome.STOPPED,
    "stop_failed": Outcome.STOP_FAILED,
    "spawn_failed": Outcome.REFUSED,
}


class Task:
    """`row` is what the journal says; the rest can be made again from it, the exit record and the output file."""

    def __init__(self, row: Row, folder: Path) -> None:
        self.row = row
        self.folder = folder
        """Where its script, output and exit record are."""
        self.state: TaskState | None = None
        """None: not decided yet, so there is nothing to answer."""
        self.decided = asyncio.Event()
        self.receipt = ""
        """sha256 of what is heard when the report is stored; empty after a restart of the agent."""
        self.cancel_asked = False
        """A cancel came before the script began: it is not to begin."""
        self.spawned = False
        self.secrets: tuple[str, ...] = ()
        self.record: ExitRecord | None = None
        """As the spawner told it; on a full disk it may be nowhere else yet."""
        self.report: bytes | None = None
        """Ready to send; dropped and made again when the output was cut."""
        self.size = 0
        """Bytes of its output file, for the disk budget."""
        self.report_stored = False
        self.sent: set[int] = set()
        """Numbers of what the stream has taken since the last reason to doubt it."""
        self.turn = int(time.time())
        """Part of the message ids: what is sent because of such a doubt is new to the stream, which would else drop it
        as a repetition, and nobody would say `stored`. What is sent again for want of an answer keeps its id."""
        self.sent_at = 0.0
        self.lock = asyncio.Lock()
        """Held while the output is read or cut."""

    @property
    def id(self) -> str:
        return self.row.task

    @property
    def done(self) -> bool:
        return self.state in {TaskState.DONE, TaskState.CANCELLED}

    def doubt(self) -> None:
        """What was sent may not have arrived, or the word that it is stored may be lost: send all of it anew."""
        self.sent.clear()
        self.turn = max(self.turn + 1, int(time.time()))

    def decide(self, state: TaskState) -> None:
        self.state = state
        self.decided.set()

    def next_chunk(self) -> int:
        return self.row.chunks + 1

    def chunk_made(self, n: int, span: Span) -> None:
        self.row.chunks, self.row.chunked_to = n, span.end
        self.row.unstored[n] = span


def outcome_of(record: ExitRecord) -> Outcome:
    if record.ended_by == "exit":
        return Outcome.SUCCEEDED if record.exit_code == 0 else Outcome.FAILED
    return _ENDINGS[record.ended_by]


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def without_start(task: str, outcome: Outcome, reason: str, message: str, *, now: float, boot_id: str) -> Report:
    """Of a task that never began here, or of which nobody knows how it ended."""
    return Report(
        task=task, outcome=outcome, reason=reason, message=message[:1000], ended_at=moment(now), boot_id=boot_id
    )
