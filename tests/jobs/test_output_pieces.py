"""Output is put together and searched the same, however it was cut."""

from hypothesis import given
from hypothesis import strategies as st

from services.jobs.output.pieces import Piece, contiguous, joined
from services.jobs.output.search import MOST_MATCHES, SHOWN, LineSearch

TEXT = st.text(st.sampled_from("abA\n é漢😀"), max_size=60)
CUTS = st.lists(st.integers(0, 60), max_size=6)


def pieces_of(text, cuts):
    at, found = 0, []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(text)], strict=True):
        part = text[start:end] if start < end else ""
        found.append(Piece(at, part))
        at += len(part.encode())
    return [piece for piece in found if piece.text]


@given(TEXT, CUTS, st.integers(1, 20))
def test_reading_on_from_each_offset_gives_the_whole_text(text, cuts, limit):
    cuts = [cut for cut in cuts if cut <= len(text)]
    pieces, read, at = pieces_of(text, cuts), "", 0
    while at < len(text.encode()):
        part, behind = joined([piece for piece in pieces if piece.end > at], at, limit)
        assert part
        assert behind > at
        assert len(part.encode()) <= max(limit, 4)
        read, at = read + part, behind
    assert read == text
    assert "".join(contiguous(pieces)) == text


def test_pieces_that_overlap_are_read_once_and_a_gap_ends_the_reading():
    pieces = [Piece(0, "abcd"), Piece(2, "cdef"), Piece(8, "ij")]

    assert joined(pieces, 0, 100) == ("abcdef", 6)
    assert joined(pieces, 6, 100) == ("", 6)
    assert joined(pieces, 8, 100) == ("ij", 10)
    assert "".join(contiguous(pieces)) == "abcdef"


def test_an_offset_inside_a_character_begins_with_the_next():
    assert joined([Piece(0, "漢a")], 1, 100) == ("a", 4)


@given(TEXT, CUTS, st.text(st.sampled_from("abA é漢"), min_size=1, max_size=3), st.booleans())
def test_a_search_finds_the_lines_that_contain_the_text_wherever_pieces_end(text, cuts, wanted, ignore_case):
    search = LineSearch(wanted, ignore_case=ignore_case)
    for piece in pieces_of(text, [cut for cut in cuts if cut <= len(text)]):
        search.feed(piece.text)
    search.end()

    fold = str.casefold if ignore_case else str
    offset, expected = 0, []
    for number, line in enumerate(text.split("\n"), 1):
        if fold(wanted) in fold(line):
            expected.append((number, offset, line[:SHOWN]))
        offset += len(line.encode()) + 1
    assert search.count == len(expected)
    assert [(each.line, each.offset, each.text) for each in search.matches] == expected[:MOST_MATCHES]


def test_an_endless_line_is_searched_in_little_memory():
    search = LineSearch("needle", ignore_case=True)
    for _ in range(1000):
        search.feed("x" * 1000)
    search.feed("nee")
    search.feed("DLE")

    assert len(search._start) <= SHOWN
    assert len(search._tail) < 6
    search.end()
    assert search.count == 1
