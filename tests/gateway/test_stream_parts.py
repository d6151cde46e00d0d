"""The live stream's parts that need no server."""

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.stream import mailbox as mailbox_module
from services.gateway.stream import sse
from services.gateway.stream.joining import MOST_BYTES, Piece, Pieces
from services.gateway.stream.mailbox import Closed, Mailbox


@given(
    text=st.binary(min_size=1, max_size=60),
    cuts=st.lists(st.tuples(st.integers(0, 59), st.integers(1, 20), st.booleans()), max_size=20),
)
def test_whatever_arrives_each_byte_comes_once_and_in_order(text, cuts):
    """Pieces come doubled, overlapping, lost and late; the store fills what is missing in the end."""
    pieces, told, at = Pieces(), bytearray(), 0
    for start, length, stored in cuts:
        piece = text[start : start + length]
        if not piece:
            continue
        pieces.add(Piece(start, piece))
        if stored:  # the store has everything up to here, and is read
            told += text[at : start + len(piece)]
            at = max(at, start + len(piece))
        while joined := pieces.next(at):
            told += joined
            at += len(joined)
        assert bytes(told) == text[:at]
    told += text[at:]
    assert bytes(told) == text


def test_pieces_that_wait_are_bounded_and_the_newest_stay():
    pieces = Pieces()
    half = b"x" * (MOST_BYTES // 2)
    for number in range(1, 10):
        pieces.add(Piece(number * len(half), half))
    assert pieces.next(len(half)) == b""
    assert pieces.next(8 * len(half)) == half
    assert pieces.next(9 * len(half)) == half
    assert not pieces.waiting


def test_an_event_is_one_line_whatever_its_json_looks_like():
    data = msgspec.json.format(msgspec.json.encode({"a": "x\ny\r\n\u2028"}), indent=2).replace(b"\n", b"\r\n")
    made = sse.event("jobs.run", data, 7)
    id_line, event_line, data_line, *rest = made.split(b"\n")
    assert (id_line, event_line, rest) == (b"id: 7", b"event: jobs.run", [b"", b""])
    assert b"\r" not in made
    assert msgspec.json.decode(data_line.removeprefix(b"data: ")) == {"a": "x\ny\r\n\u2028"}
    assert sse.own("end", reason="x") == b'event: end\ndata: {"reason":"x"}\n\n'


def never():
    raise AssertionError("nothing overflowed")


async def test_output_waits_for_room_and_events_do_not(monkeypatch):
    monkeypatch.setattr(mailbox_module, "MOST_OUTPUT_BYTES", 10)
    mailbox = Mailbox(never)
    await mailbox.put(b"0123456789")
    waiting = asyncio.create_task(mailbox.put(b"later"))
    mailbox.offer(b"event")
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await mailbox.take(1) == b"0123456789event"
    await waiting
    assert await mailbox.take(1) == b"later"
    assert await mailbox.take(0.01) == b""


async def test_too_many_events_cut_once_and_free_what_waited(monkeypatch):
    monkeypatch.setattr(mailbox_module, "MOST_EVENTS", 3)
    cuts = []
    mailbox = Mailbox(lambda: cuts.append(1))
    for _ in range(10):
        mailbox.offer(b"x")
    assert cuts == [1]
    with pytest.raises(Closed):
        await mailbox.take(1)


async def test_too_large_events_cut(monkeypatch):
    monkeypatch.setattr(mailbox_module, "MOST_EVENTS_BYTES", 10)
    cuts = []
    mailbox = Mailbox(lambda: cuts.append(1))
    mailbox.offer(b"0123456")
    assert not cuts
    mailbox.offer(b"0123456")
    assert cuts == [1]


async def test_what_waited_is_sent_before_a_stream_ends():
    mailbox = Mailbox(never)
    mailbox.offer(b"last words")
    mailbox.close()
    mailbox.offer(b"too late")
    assert await mailbox.take(1) == b"last words"
    with pytest.raises(Closed):
        await mailbox.take(1)
