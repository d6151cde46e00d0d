"""Output as text is the same however it was cut into reads."""

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.text import Masker, NormalisedHash, TextFlow, cut_utf8, normalised
from contracts.runs import MASK


def flow(data: bytes, cuts: list[int], secrets: tuple[str, ...] = ()) -> str:
    text = TextFlow(secrets)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    shown = [text.feed(data[start:end]) for start, end in itertools.pairwise(edges)]
    return "".join(shown) + text.end(cut=False)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60)))
def test_borders_of_reads_do_not_show(data: bytes, cuts: list[int]):
    assert flow(data, cuts) == data.decode(errors="backslashreplace")


secrets = st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3)


@given(st.text("abc", max_size=40), st.lists(st.integers(0, 40)), secrets)
def test_masked_values_are_found_across_borders_and_nowhere_else(text: str, cuts: list[int], values: list[str]):
    assert flow(text.encode(), cuts, tuple(values)) == masked_at_once(text, values)


def masked_at_once(text: str, values: list[str]) -> str:
    """The meaning, written plainly: from the left, the longest value that stands here."""
    shown, at = "", 0
    while at < len(text):
        here = max((value for value in values if text.startswith(value, at)), key=len, default="")
        shown += MASK if here else text[at]
        at += len(here) or 1
    return shown


def test_nothing_is_held_back_that_cannot_become_a_secret():
    masker = Masker(["secret"])
    assert masker.feed("ready?\n") == "ready?\n"
    assert masker.feed("a sec") == "a "
    assert masker.feed("ond\n") == "second\n"


def test_values_that_are_patterns_are_taken_literally():
    masker = Masker(["a.c", "$(x)", ""])
    assert masker.feed("abc a.c $(x)", last=True) == f"abc {MASK} {MASK}"


@given(st.text(" \n\ta\u2028", max_size=40), st.lists(st.integers(0, 40)))
def test_the_hash_in_pieces_is_the_hash_of_the_normalised_whole(text: str, cuts: list[int]):
    hashed = NormalisedHash()
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    for start, end in itertools.pairwise(edges):
        hashed.feed(text[start:end])
    assert hashed.hexdigest() == hashlib.sha256(normalised(text).encode()).hexdigest()


@pytest.mark.parametrize(("text", "same"), [("a \nb\n\n", "a\nb"), ("a\r\nb", "a\nb"), (" a", " a"), ("", "\n \n")])
def test_white_space_at_ends_does_not_count(text: str, same: str):
    assert normalised(text) == normalised(same)


def test_half_a_character_at_a_cut_is_left_out_and_at_an_end_is_shown():
    data = "ä".encode()[:1]
    for cut, shown in ((True, ""), (False, "\\xc3")):
        text = TextFlow(())
        assert text.feed(data) + text.end(cut=cut) == shown


@given(st.text(max_size=30), st.integers(0, 40))
def test_a_cut_text_is_a_beginning_that_fits(text: str, most: int):
    cut = cut_utf8(text, most)
    assert text.startswith(cut)
    assert len(cut.encode()) <= most
    assert cut == text or len(cut.encode()) > most - 4
