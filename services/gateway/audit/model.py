"""How pages of several trails become one, and what a checkpoint says. Pure."""

from collections.abc import Sequence
from datetime import datetime

from contracts.audit import AuditEntries, Checkpoint, Head, checkpoint_digest, to_millisecond

MOST_HEADS = 2000
"""In one checkpoint; what is more comes with the next."""


def merged(pages: Sequence[AuditEntries], limit: int) -> AuditEntries:
    """One page, newest first, out of the pages that begin at the same place.

    A page that has a `next` says nothing about what lies below, so nothing below the highest `next` is shown yet.
    """
    bound = max((page.next for page in pages), default="")
    seen = sorted(
        (entry for page in pages for entry in page.entries if entry.id >= bound),
        key=lambda entry: entry.id,
        reverse=True,
    )
    if len(seen) > limit:
        return AuditEntries(entries=seen[:limit], next=seen[limit - 1].id)
    return AuditEntries(entries=seen, next=bound)


def following(previous: Checkpoint | None, heads: Sequence[Head], at: datetime) -> Checkpoint:
    """The next checkpoint, not yet signed."""
    return Checkpoint(
        n=previous.n + 1 if previous else 1,
        at=to_millisecond(at),
        previous=checkpoint_digest(previous) if previous else "",
        heads=tuple(sorted(heads)[:MOST_HEADS]),
    )
