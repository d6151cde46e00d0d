"""What a choice of targets means. Pure.

Every criterion narrows; within one criterion any value will do. Nothing asked is an error, and a host that does not
exist is never passed over in silence, not even in an exclusion: a typing error there would leave a host in.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contracts.errors import Invalid
from contracts.hosts import HostFilter, Targets
from services.resources.hosts.criteria import (
    LIVE,
    MANAGEMENT,
    NAMES,
    PHYSICAL,
    Condition,
    Criterion,
    Language,
    all_of,
    criteria,
    plain,
)

MOST = 50_000
UNKNOWN_LISTED = 1000
_SHOWN = 10
_NAME_LENGTH = 255

_WORDS = {
    "ids": "id",
    "ips": "IP",
    "hostnames": "host name",
    "idcs": "IDC",
    "businesses": "business",
    "product_lines": "product line",
    "states": "state",
    "tags": "tag",
    "rooms": "room",
    "racks": "rack",
    "sets": "set",
    "groups": "group",
    "where": "where",
}


@dataclass(frozen=True)
class Step:
    """One narrowing, and how to say it."""

    words: str
    condition: Condition


@dataclass(frozen=True)
class Choice:
    visible: Condition
    """Of hosts that exist for whoever asks."""
    steps: tuple[Step, ...]

    def query(self, count: int | None = None) -> dict[str, object]:
        """Hosts that are left after so many steps; left out: after all."""
        return all_of((LIVE, self.visible, *(step.condition for step in self.steps[:count])))


def choice(targets: Targets, language: Language, visible: Condition) -> Choice:
    """Among the visible hosts. Raises Invalid if nothing is asked, or something that means nothing."""
    asked = criteria(targets, language)
    if not asked and not targets.all and not targets.local:
        raise Invalid(
            "targets.none_asked", "No targets are named. Name hosts, an IDC, a tag and so on, or ask for all."
        )
    steps = [Step(_words(each), each.condition) for each in asked]
    if targets.local:
        steps.append(Step("local, which means management hosts,", MANAGEMENT))
    named = any(each.name in NAMES for each in asked)
    if targets.all or not (named or targets.local):
        # Attributes must never sweep up the machines that run Drover itself.
        steps.append(Step("leaving out management hosts", PHYSICAL))
    if targets.exclude is not None and (excluded := criteria(targets.exclude, language)):
        words = " and ".join(_words(each) for each in excluded)
        steps.append(Step(f"excluding {words}", {"$nor": [all_of(each.condition for each in excluded)]}))
    return Choice(visible, tuple(steps))


def names(asked: HostFilter) -> list[Criterion]:
    """The criteria that name hosts one by one, so that each value must match one."""
    return [each for each in plain(asked) if each.name in NAMES]


def missing(criterion: Criterion, found: Iterable[str]) -> list[str]:
    known = set(found)
    return [value[:_NAME_LENGTH] for value in criterion.values if value not in known]


def refuse_unknown(unknown: Sequence[str]) -> None:
    """Raises Invalid if there is any."""
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise Invalid(
            "targets.unknown",
            f"No host answers to {', '.join(unknown[:_SHOWN])}{more}. Revoked and retired hosts do not count."
            " Nothing was started; correct the names, or allow unknown ones.",
            {"unknown": list(unknown[:UNKNOWN_LISTED]), "count": len(unknown)},
        )


def empty(choice: Choice, left: Sequence[int]) -> Invalid:
    """The refusal of an empty set; `left` counts the hosts after no step, after the first, after the second, ..."""
    first = left.index(0)
    why = f"{choice.steps[first - 1].words} leaves none of {left[first - 1]}" if first else "there is none yet"
    return Invalid(
        "targets.empty", f"No host fits: {why}. Revoked and retired hosts do not count. Nothing was started."
    )


def refuse_too_many(total: int) -> None:
    """Raises Invalid."""
    if total > MOST:
        raise Invalid("targets.too_many", f"More than {MOST} hosts fit, the most that one run takes. Split the run.")


def set_hash(sorted_ids: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted_ids).encode()).hexdigest()


def _words(criterion: Criterion) -> str:
    shown = ", ".join(value[:_NAME_LENGTH] for value in criterion.values[:_SHOWN])
    more = f" and {len(criterion.values) - _SHOWN} more" if len(criterion.values) > _SHOWN else ""
    return f"{_WORDS[criterion.name]} {shown}{more}"
