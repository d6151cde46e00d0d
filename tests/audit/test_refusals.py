"""What is refused before anything happens leaves rows; a flood of it is counted."""

import asyncio
from datetime import UTC, datetime

import pytest

from contracts import hosts
from contracts.audit import Actor, AuditKind, AuditRow, ListAudit, entries_of
from contracts.errors import Forbidden, Invalid
from contracts.kinds import Call
from contracts.people import Nothing
from runtime.audit.refusals import ROWS, Refusals
from tests.audit.conftest import SERVICE, VIEWER
from tests.audit.test_trail import REVOKE
from tests.auditing import rows

MOMENT = datetime(2026, 1, 2, tzinfo=UTC)


def row(name, number=0):
    who = Actor(kind="person", name=name)
    return AuditRow(
        service=SERVICE, chain="", n=0, at=MOMENT, kind=AuditKind.DENIED, who=who, call="x.y.z", object=str(number)
    )


async def test_of_a_flood_the_first_rows_are_written_and_the_rest_is_counted():
    put = []
    refusals = Refusals(put.append)
    for number in range(ROWS + 5):
        refusals.note(row("vic", number))
    refusals.note(row("ada"))
    assert [each.object for each in put] == [*map(str, range(ROWS)), "0"]
    refusals.end()
    assert [(each.who.name, each.object, each.more) for each in put[ROWS + 1 :]] == [("vic", str(ROWS + 4), 4)]
    refusals.end()
    assert len(put) == ROWS + 2


async def test_a_window_ends_by_itself(monkeypatch):
    monkeypatch.setattr("runtime.audit.refusals.WINDOW_S", 0.01)
    put, told = [], asyncio.Event()

    def take(each):
        put.append(each)
        if each.more:
            told.set()

    refusals = Refusals(take)
    for number in range(ROWS + 2):
        refusals.note(row("vic", number))
    async with asyncio.timeout(20):
        await told.wait()
    assert (len(put), put[-1].more) == (ROWS + 1, 1)
    refusals.note(row("vic"))
    assert len(put) == ROWS + 2


async def test_many_denials_leave_a_sound_chain_that_counts_them(rig):
    async def revoke(_request, _principal):
        pytest.fail("nothing is to happen")

    await rig.serve((hosts.revoke_host, revoke))
    for _ in range(ROWS + 3):
        with pytest.raises(Forbidden):
            await rig.ask(hosts.revoke_host, REVOKE, by=VIEWER)
    await rig.trail.settled()
    written = await rows(rig.database)
    assert [each["n"] for each in written] == list(range(1, ROWS + 2))
    assert [each["more"] for each in written] == [*[0] * ROWS, 2]
    told = await rig.ask(entries_of(SERVICE), ListAudit(), by=None)
    assert told.entries[0].more == 2


async def test_a_change_that_cannot_be_read_leaves_who_what_and_why(rig):
    async def revoke(_request, _principal):
        pytest.fail("nothing is to happen")

    await rig.serve((hosts.revoke_host, revoke))
    other = Call(hosts.revoke_host.subject, Nothing, Nothing, needs="hosts:enrol")
    with pytest.raises(Invalid):
        await rig.ask(other, Nothing())
    await rig.trail.settled()
    [written] = await rows(rig.database)
    assert (written["kind"], written["outcome"], written["who"]["name"]) == ("denied", "bus.malformed", "ada")
    assert (written["call"], written["request"]) == (hosts.revoke_host.subject, "")
