"""What an integration may be given. Pure."""

from collections.abc import Collection, Iterable

import msgspec

from contracts.errors import Invalid
from contracts.permissions import EVERYTHING, Scope
from contracts.registry import calls, events
from runtime.scopes import refuse_empty

LARGEST = 8 * 1024
"""Bytes of a scope in JSON, as of a role's."""
GRANTABLE = frozenset({"hosts:read", "hosts:change", "runs:read", "runs:start", "runs:stop"})
"""Who may manage people, integrations or enrolment decides over all others, and tokens belong to people: a program's
lasting credential gets none of these."""


def check_scope(scope: Scope, events: Collection[str]) -> None:
    """Raises Invalid for a scope in which nothing lies, that is too long, or that events would leave."""
    refuse_empty(scope)
    if len(msgspec.json.encode(scope)) > LARGEST:
        raise Invalid("grants.too_large", f"The scope is longer than {LARGEST // 1024} KiB. Use a group.")
    if scope != EVERYTHING and events:
        raise Invalid(
            "integration.hears_everything",
            "Events tell of all objects, also of those outside of the scope. Leave out the scope, or the events.",
        )


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
