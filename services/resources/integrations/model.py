"""What an integration may be given. Pure."""

from collections.abc import Iterable

from contracts.errors import Invalid
from contracts.registry import calls, events

GRANTABLE = frozenset({"hosts:read", "hosts:change", "runs:read", "runs:start", "runs:stop"})
"""Who may manage people, integrations or enrolment decides over all others, and tokens belong to people: a program's
lasting credential gets none of these."""


def check(asked_calls: Iterable[str], asked_events: Iterable[str]) -> None:
    """Raises Invalid for a call or event that does not exist or is not given to programs."""
    may_call = {call.subject for call in calls() if call.needs in GRANTABLE}
    may_hear = {f"{event.service}.{event.kind}" for event in events()}
    for what, asked, known in (("call", asked_calls, may_call), ("event", asked_events, may_hear)):
        if unknown := sorted(set(asked) - known):
            shown = ", ".join(each[:100] for each in unknown[:10])
            may = ", ".join(sorted(known))
            raise Invalid(
                "integration.unknown_call",
                f"There is no such {what}, or integrations do not get it: {shown}. They get {may}.",
            )
