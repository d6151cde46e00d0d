"""Two people change one thing: the second is told what the first did, and nothing is lost.

A document that people change carries `revision` (from 1), `changed_by` and `changed_at`; whoever changes it may name
the revision that they looked at.
"""

from datetime import datetime

from contracts.errors import Conflict
from runtime.mongo import Document


def marks(revision: int, by: str, at: datetime) -> Document:
    """What a document says of its newest change."""
    return {"revision": revision, "changed_by": by, "changed_at": at}


def check(seen: int | None, now: Document, reason: str, what: str) -> None:
    """Raise Conflict if somebody looked at another revision of `what` than the document has now."""
    if seen is not None and seen != now["revision"]:
        raise moved_on(now, reason, what)


def moved_on(now: Document, reason: str, what: str) -> Conflict:
    """The refusal of whoever lost the race; it says who won it, when, and with which revision."""
    by, at = now["changed_by"], now["changed_at"]
    return Conflict(
        reason,
        f"{by} changed {what} at {at:%Y-%m-%d %H:%M:%S} UTC; its revision is {now['revision']} now."
        " Look again, then change it.",
        {"revision": now["revision"], "by": by, "at": at.isoformat()},
    )
