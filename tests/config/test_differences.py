"""Unified diffs: exact where that is quick, one block where it would not be."""

from hypothesis import given
from hypothesis import strategies as st

from services.config import differences
from services.config.differences import MOST_LINES, unified

LINES = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=30)


def start_of(words):
    first, _, length = words[1:].partition(",")
    return int(first) - (length != "0")


def applied(old, diff):
    """The lines that a diff makes of the old ones, and that it says of the old ones what is there."""
    made, at = [], 0
    for line in diff.splitlines()[2:]:
        if line.startswith("@@"):
            _, where, new_where, _ = line.split()
            made += old[at : start_of(where)]
            at = start_of(where)
            assert len(made) == start_of(new_where)
        elif line[0] == "+":
            made.append(line[1:])
        else:
            assert old[at] == line[1:]
            made += [line[1:]] if line[0] == " " else []
            at += 1
    return made + old[at:]


def changes(diff):
    return [line for line in diff.splitlines()[2:] if line[0] in "+-"]


@given(LINES, LINES)
def test_a_diff_says_how_to_make_the_one_of_the_other(old, new):
    said = unified("\n".join(old), "\n".join(new), "one", "two")
    assert applied(old, said) == new
    assert (said == "") == (old == new)


def test_it_reads_as_diffs_do():
    assert unified("a\nb\nc\n", "a\nB\nc", "one", "two") == "--- one\n+++ two\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"
    assert unified("", "a", "one", "two") == "--- one\n+++ two\n@@ -0,0 +1 @@\n+a\n"


def test_a_carriage_return_is_a_difference():
    assert changes(unified("a\nb\n", "a\r\nb\n", "one", "two")) == ["-a", "+a"]
    assert unified("a\nb\n", "a\r\nb\n", "one", "two").endswith("-a\n+a\r\n b\n")


def test_changes_that_lie_apart_are_hunks_of_their_own():
    old = [f"line {n}" for n in range(100)]
    new = [*old[:10], "new", *old[10:90], *old[91:]]
    said = unified("\n".join(old), "\n".join(new), "one", "two")
    assert changes(said) == ["+new", "-line 90"]
    assert said.count("@@ -") == 2


def test_texts_made_to_take_long_are_told_as_one_block():
    old = ["same", *(f"l{n % 101}" for n in range(100_000)), "end"]
    new = ["same", *(f"l{-n * 7 % 101}" for n in range(1, 100_000)), "end"]
    said = unified("\n".join(old), "\n".join(new), "one", "two")
    assert applied(old, said) == new
    assert said.count("@@ -") == 1


@given(LINES, LINES)
def test_a_block_says_the_same(old, new):
    most, differences.MOST_LINES = differences.MOST_LINES, 3
    try:
        assert applied(old, unified("\n".join(old), "\n".join(new), "one", "two")) == new
    finally:
        differences.MOST_LINES = most


def test_a_small_change_of_a_long_text_is_told_exactly():
    old = [f"line {n % 50}" for n in range(50 * MOST_LINES)]
    new = [*old[:70_000], "new", *old[70_000:]]
    assert changes(unified("\n".join(old), "\n".join(new), "one", "two")) == ["+new"]
