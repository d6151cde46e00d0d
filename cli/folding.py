"""Equal results fold into one: thousands of hosts that said the same are one line and one text."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contracts.reasons import REASONS
from contracts.runs import Counts, HostResult
from contracts.states import GOOD, Live, Outcome

NAMES_SHOWN = 12


@dataclass(frozen=True)
class Fold:
    """Hosts whose part ended in the same way with the same output."""

    hosts: tuple[HostResult, ...]

    @property
    def one(self) -> HostResult:
        """Any of them speaks for all; the first does."""
        return self.hosts[0]

    @property
    def good(self) -> bool:
        return self.one.state in GOOD


def fold(results: Iterable[HostResult]) -> list[Fold]:
    """Failures first, then the larger folds, so that what matters stands on top."""
    folds: dict[tuple[object, ...], list[HostResult]] = defaultdict(list)
    for each in results:
        alike = (each.state, each.exit_code, each.signal, each.reason, each.message, each.tag, each.output_hash)
        folds[alike].append(each)
    made = [Fold(tuple(sorted(hosts, key=_by_name))) for hosts in folds.values()]
    return sorted(made, key=lambda each: (each.good, -len(each.hosts)))


def _by_name(result: HostResult) -> tuple[list[str | int], str]:
    """web2 before web10, as people count."""
    pieces = re.split(r"([0-9]+)", result.hostname)
    return [int(piece) if at % 2 else piece for at, piece in enumerate(pieces)], result.host


def labels(results: Sequence[HostResult]) -> dict[str, str]:
    """What to call each host: by its host name if no other host of the run has the same."""
    shared = Counter(each.hostname for each in results)
    return {
        each.host: each.hostname if each.hostname and shared[each.hostname] == 1 else f"{each.hostname}/{each.host}"
        for each in results
    }


def heading(made: Fold, names: dict[str, str]) -> str:
    one, count = made.one, len(made.hosts)
    shown = [names[each.host] for each in made.hosts[:NAMES_SHOWN]]
    if count > NAMES_SHOWN:
        shown.append(f"and {count - NAMES_SHOWN} more")
    return f"{counted(count, 'host')}: {ending(one)}: {', '.join(shown)}"


def ending(result: HostResult) -> str:
    """How a host's part stands, in words: `failed, exit status 3`."""
    parts = [result.state.replace("_", " ")]
    if result.exit_code:
        parts.append(f"exit status {result.exit_code}")
    if result.signal:
        parts.append(f"signal {result.signal}")
    if result.tag:
        parts.append(f"tag {result.tag}")
    if result.reason:
        parts.append(f"{(result.message or meaning(result.reason)).removesuffix('.')} ({result.reason})")
    return ", ".join(parts)


def meaning(reason: str) -> str:
    return REASONS[reason].meaning if reason in REASONS else "not explained"


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def in_words(counts: Counts) -> str:
    """`1 failed, 5 succeeded`: only what there is, worst first."""
    order = [*(each for each in Outcome if each not in GOOD), *Live, *(each for each in Outcome if each in GOOD)]
    return ", ".join(f"{getattr(counts, each)} {each.replace('_', ' ')}" for each in order if getattr(counts, each))
