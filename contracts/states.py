"""The words for where a run and a host's part of it stand: the same in MongoDB, on the bus, in HTTP and on screens."""

from enum import StrEnum


class RunState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"


class Outcome(StrEnum):
    """How a host's part ended. Exactly one per task and host."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    STOP_FAILED = "stop_failed"
    REFUSED = "refused"
    OFFLINE = "offline"
    LOST = "lost"
    SKIPPED = "skipped"


class Live(StrEnum):
    """Where a host stands before its outcome; known to the instance that holds the run, rebuilt after a crash."""

    PENDING = "pending"
    SENT = "sent"
    ACCEPTED = "accepted"
    RUNNING = "running"


RUN_MOVES: dict[RunState, frozenset[RunState]] = {
    RunState.PENDING: frozenset({RunState.RUNNING, RunState.STOPPING}),
    RunState.RUNNING: frozenset({RunState.STOPPING, RunState.SUCCEEDED, RunState.FAILED}),
    RunState.STOPPING: frozenset({RunState.STOPPED, RunState.SUCCEEDED, RunState.FAILED}),
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset({RunState.PENDING}),
    RunState.STOPPED: frozenset({RunState.PENDING}),
}
"""Legal moves. A failed or stopped run is pending again when its failed hosts are tried again."""

LIVE_RUN = frozenset({RunState.PENDING, RunState.RUNNING, RunState.STOPPING})

GOOD = frozenset({Outcome.SUCCEEDED, Outcome.SKIPPED})
