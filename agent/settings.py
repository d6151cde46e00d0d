"""What an agent is told: where its folder is, and how much it may use.

Folders and addresses come from the command line, limits from the environment (`DROVER_AGENT_*`).
"""

from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The same for all agents of a process."""

    accounts: tuple[str, ...] = ()
    """Accounts that scripts may run as, separated by commas. Left out: the agent's own, and if that is root every
    account with a login shell."""

    output_limit: int = 16 * MIB
    """Bytes of output kept of each task; the rest is dropped with a marker."""

    spool_limit: int = 512 * MIB
    """Bytes of output, over all tasks, that wait on disk until they are stored."""

    heartbeat_s: float = 30.0
    """Seconds between two heartbeats, give or take a tenth."""

    unstored_s: float = 600.0
    """After so long, a result that nobody has said to be stored is sent again."""

    cgroup: str = "auto"
    """off: no cgroup for each task, even where the host allows it."""

    spawner_idle_s: float = 300.0
    """How long the spawner stays without agent and task."""

    tasks: int = 64
    """Scripts that run at once; more are accepted and wait."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One agent."""

    root: Path
    """Credentials, journal and spool live here together: who loses one loses all, and enrols as a new host."""

    facts_root: Path | None = None
    """Facts are read below this folder where it has them, so that several agents on one machine can differ."""

    limits: Limits = Limits()
