"""Two people change one thing: the second is told what the first did, and nothing is lost.

A document that people change carries `revision` (from 1), `changed_by` and `changed_at`; whoever changes it may name
the revision that they looked at. It also carries `past`: what its last changes replaced, the oldest first, each written
by the update that made the change, as {revision, by, at, fields: [{name, was}]}.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from contracts.errors import Conflict
from contracts.redaction import HIDDEN, as_json, brief
from runtime.mongo import Collection, Document, Session

Fields = Mapping[str, Any]
"""What people may read of a document: `mapping.url` → its value."""

PAST = "past"
KEPT = 10
"""Changes."""
MOST_FIELDS = 50
"""Of one change."""
MOST_SAID = 5
"""In the sentence; the details have the others."""
UNSAID = object()
"""The value of a field that is kept elsewhere: that it changed is told, not from what to what."""

_NOT_ENTERED = frozenset({"_id", "revision", "changed_by", "changed_at", PAST})
_MISSING = object()


def marks(revision: int, by: str, at: datetime) -> Document:
    """What a document says of its newest change."""
    return {"revision": revision, "changed_by": by, "changed_at": at}


def fields(document: Document) -> Fields:
    """All that is in the document, flat, but for its marks."""
    return dict(_flat({name: value for name, value in document.items() if name not in _NOT_ENTERED}, ""))


def _flat(value: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for name, each in value.items():
        if isinstance(each, Mapping) and each:
            yield from _flat(each, f"{above}{name}.")
        else:
            yield f"{above}{name}", each


def differing(before: Fields, after: Fields) -> Fields:
    """Those that differ, as they were before; None are those that were not there."""
    names = dict.fromkeys([*before, *after])
    return {name: before.get(name) for name in names if before.get(name, _MISSING) != after.get(name, _MISSING)}


def step(made: Document, were: Fields) -> Document:
    """What the change to the document `made` is remembered by. `were`: the changed fields, as they were before."""
    told = [
        {"name": name[:200]} | ({} if was is UNSAID else {"was": brief(name, was)})
        for name, was in list(were.items())[:MOST_FIELDS]
    ]
    return {"revision": made["revision"], "by": made["changed_by"], "at": made["changed_at"], "fields": told}


def update(after: Document, were: Fields) -> Document:
    """The update that writes the document, and remembers what `were` its changed fields before."""
    written = {name: value for name, value in after.items() if name not in {"_id", PAST}}
    return {"$set": written, "$push": {PAST: {"$each": [step(after, were)], "$slice": -KEPT}}}


def moved_on(seen: int, now: Document, shown: Fields, past: Iterable[Document], reason: str, what: str) -> Conflict:
    """The refusal of whoever looked at the revision `seen`: who was faster, when, and what is different since then.

    `shown` is what `now` has, `past` the steps that led to it.
    """
    by, at, revision = now["changed_by"], now["changed_at"], now["revision"]
    steps = [each for each in past if seen < each["revision"] <= revision]
    since = steps[0]["revision"] - 1 if steps else min(seen, revision)
    changed = list(_changed(steps, shown))
    return Conflict(
        reason,
        f"{by} changed {what} at {at:%Y-%m-%d %H:%M:%S} UTC; its revision is {revision} now."
        f"{_sentence(changed, since, by)} Look again, then change it.",
        {"revision": revision, "by": by, "at": at.isoformat(), "since": since, "changed": changed},
    )


def _changed(steps: Iterable[Document], shown: Fields) -> Iterator[Document]:
    found: dict[str, Document] = {}
    for each in steps:
        for field in each["fields"]:
            told = found.setdefault(field["name"], {"field": field["name"]})
            told["by"] = each["by"]
            if "was" in field:
                told.setdefault("before", field["was"])
                told["after"] = brief(field["name"], shown.get(field["name"]))
    for told in found.values():
        # Of a secret both look the same, whatever was done to it.
        if "after" not in told or told["before"] != told["after"] or HIDDEN in str(told["after"]):
            yield told


def _sentence(changed: list[Document], since: int, by: str) -> str:
    if not changed:
        return ""
    told = [f"{each['field']}{_values(each)}" + (f" ({each['by']})" if each["by"] != by else "") for each in changed]
    more = f" and {len(told) - MOST_SAID} more" if len(told) > MOST_SAID else ""
    return f" Since revision {since}: {', '.join(told[:MOST_SAID])}{more}."


def _values(change: Document) -> str:
    return f" {_said(change['before'])} → {_said(change['after'])}" if "after" in change else ""


def _said(value: Any) -> str:
    if isinstance(value, Mapping) and "sha256" in value:
        return f"({value['characters']} characters)"
    return "nothing" if value is None else value or '""' if isinstance(value, str) else as_json(value)


class Revisions:
    """The revisions of the documents in one collection."""

    def __init__(
        self, collection: Collection, reason: str, what: str, shown: Callable[[Document], Fields] = fields
    ) -> None:
        """`what` says which document it is, with {} for its key."""
        self._collection, self._reason, self._what, self._shown = collection, reason, what, shown

    async def check(self, seen: int | None, revision: int, key: str, session: Session | None = None) -> None:
        """Raise Conflict if somebody looked at another revision than the document has."""
        if seen is not None and seen != revision:
            raise await self.moved_on(seen, key, session)

    async def moved_on(self, seen: int, key: str, session: Session | None = None) -> Conflict:
        """The refusal of whoever looked at the revision `seen`."""
        now, what = await self._collection.find_one({"_id": key}, session=session), self._what.format(key)
        if now is None:
            return Conflict(self._reason, f"There is no {what.removeprefix('the ')} any more.", {"revision": 0})
        return moved_on(seen, now, self._shown(now), now.get(PAST, ()), self._reason, what)

    def update(self, before: Document, after: Document) -> Document:
        """The update that makes one document of the other, and remembers what it changed."""
        return update(after, differing(self._shown(before), self._shown(after)))
