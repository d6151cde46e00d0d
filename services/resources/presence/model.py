"""What was heard and is not written yet. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from contracts.hosts import HostFacts


@dataclass(frozen=True)
class Beat:
    """A sign of life. The IDC is that of the subject: a relay can speak for hosts of its own IDC only, so a host of
    another one must not be found under this id."""

    idc: str
    host: str
    at: int
    """The second in which it was heard, since 1970."""
    open_tasks: int
    facts: HostFacts | None = None
    """From a hello."""


Group = tuple[str, int, int]
"""IDC, second, open tasks: what hosts of one write have in common."""


class Batch:
    def __init__(self) -> None:
        self._beats: dict[tuple[str, str], Beat] = {}

    def __len__(self) -> int:
        return len(self._beats)

    def add(self, beat: Beat) -> None:
        """The newest beat of a host counts, and the newest facts, whichever beat brought them."""
        key = (beat.idc, beat.host)
        known = self._beats.get(key)
        if known is not None:
            older, newer = sorted((known, beat), key=lambda each: each.at)
            beat = newer if newer.facts is not None else replace(newer, facts=older.facts)
        self._beats[key] = beat

    def take(self) -> list[Beat]:
        beats, self._beats = list(self._beats.values()), {}
        return beats


def grouped(beats: list[Beat]) -> Mapping[Group, list[str]]:
    """Hosts by what will be written about them, so that a thousand heartbeats are a few updates."""
    groups: dict[Group, list[str]] = defaultdict(list)
    for beat in beats:
        groups[beat.idc, beat.at, beat.open_tasks].append(beat.host)
    return groups
