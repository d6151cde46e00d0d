"""What somebody who lost a race is told of the changes that they did not see."""

import itertools
from datetime import UTC, datetime

import pytest

from contracts.redaction import HIDDEN
from runtime.revisions import KEPT, MOST_FIELDS, UNSAID, differing, fields, marks, moved_on, step

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def lost(seen, *versions, by="olga"):
    """The refusal, after a thing went through these versions; each is by somebody of its own but for the last."""
    past = []
    for number, (before, after) in enumerate(itertools.pairwise(versions), 2):
        made = marks(number, by if number == len(versions) else f"p{number}", AT)
        past.append(step(made, differing(fields(before), fields(after))))
    now = {**versions[-1], **marks(len(versions), by, AT)}
    return moved_on(seen, now, fields(now), past[-KEPT:], "thing.changed_meanwhile", "the thing")


def test_a_field_goes_from_what_was_seen_to_what_is_now_whoever_changed_it_between():
    told = lost(1, {"a": 1, "b": "x"}, {"a": 2, "b": "x"}, {"a": 3, "b": "y"})
    assert told.details["changed"] == [
        {"field": "a", "before": 1, "after": 3, "by": "olga"},
        {"field": "b", "before": "x", "after": "y", "by": "olga"},
    ]
    assert "Since revision 1: a 1 → 3, b x → y." in told.message


def test_what_others_changed_last_is_said_of_them():
    told = lost(1, {"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 2, "b": 2})
    assert "Since revision 1: a 1 → 2 (p2), b 1 → 2." in told.message


def test_what_was_changed_back_is_no_change():
    assert lost(1, {"a": 1}, {"a": 2}, {"a": 1}).details["changed"] == []


def test_only_what_was_not_seen_is_told():
    told = lost(2, {"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 2, "b": 2})
    assert [each["field"] for each in told.details["changed"]] == ["b"]


def test_beyond_what_is_kept_it_says_since_when_it_knows():
    told = lost(1, *({"a": n} for n in range(KEPT + 5)))
    assert told.details["since"] == 5
    assert told.details["changed"][0]["before"] == 4


def test_a_revision_that_never_was_is_answered_without_changes():
    assert lost(9, {"a": 1}, {"a": 2}).details["changed"] == []


@pytest.mark.parametrize("was", ["old", "older"])
def test_of_a_secret_only_that_it_changed_is_told(was):
    told = lost(1, {"db": {"password": was}}, {"db": {"password": "new"}})
    assert told.details["changed"] == [{"field": "db.password", "before": HIDDEN, "after": HIDDEN, "by": "olga"}]
    assert was not in told.message


def test_long_values_are_told_by_their_size_and_hash():
    [change] = lost(1, {"text": "x" * 5000}, {"text": "y" * 101}).details["changed"]
    assert (change["before"]["characters"], change["after"]["characters"]) == (5000, 101)
    assert set(change["before"]) == {"characters", "sha256"}


def test_what_is_kept_of_one_change_is_bounded():
    before, after = ({f"{n}" * 300: value for n in range(1000)} for value in ("x" * 10_000, "y"))
    kept = step(marks(2, "olga", AT), differing(before, after))
    assert len(kept["fields"]) == MOST_FIELDS
    assert len(str(kept)) < 30_000


def test_that_something_changed_can_be_told_without_values():
    past = [step(marks(2, "olga", AT), {"hosts": UNSAID})]
    told = moved_on(1, marks(2, "olga", AT), {}, past, "thing.changed_meanwhile", "the thing")
    assert told.details["changed"] == [{"field": "hosts", "by": "olga"}]
    assert "Since revision 1: hosts." in told.message
