"""Reading a stream's past on the real server, with the credentials of the one who does so."""

import asyncio

import pytest
import pytest_asyncio

from contracts.errors import Unavailable
from runtime.bus import streams
from runtime.bus.history import BATCH, History
from runtime.bus.streams import EVENTS
from tests.conftest import service_bus


@pytest_asyncio.fixture
async def jobs(nats):
    async with service_bus(nats, "jobs") as bus:
        await streams.ensure_stream(bus.connection, EVENTS)
        yield bus


@pytest_asyncio.fixture
async def history(nats):
    async with service_bus(nats, "gateway") as bus:
        made = History(bus.connection, EVENTS.name)
        await made.start()
        yield made
        await made.close()


async def tell(jobs, subject, count):
    sequences = []
    for n in range(count):
        sequences.append(await streams.publish(jobs.connection, subject, b"%d" % n, message_id=f"{subject}:{n}"))
    return sequences


async def everything(history, sequence, subject):
    found = []
    while True:
        batch = await history.after(sequence, subject)
        found += batch.messages
        if not batch.more:
            return found
        sequence = batch.messages[-1].sequence


async def test_batches_follow_each_other_without_a_gap(jobs, history):
    sequences = await tell(jobs, "evt.jobs.run.batches", BATCH + 5)
    first = await history.after(sequences[0] - 1, "evt.jobs.run.batches")
    assert (len(first.messages), first.more) == (BATCH, True)
    rest = await history.after(first.messages[-1].sequence, "evt.jobs.run.batches")
    assert (len(rest.messages), rest.more) == (5, False)
    assert [each.sequence for each in first.messages + rest.messages] == sequences
    assert [int(each.data) for each in first.messages + rest.messages] == list(range(BATCH + 5))


async def test_only_what_is_on_the_subject_and_only_what_is_behind(jobs, history):
    [one] = await tell(jobs, "evt.jobs.run.first", 1)
    [two] = await tell(jobs, "evt.jobs.run.second", 1)
    assert [each.sequence for each in await everything(history, one - 1, "evt.jobs.*.second")] == [two]
    assert [each.subject for each in await everything(history, one, "evt.jobs.>")] == ["evt.jobs.run.second"]
    assert (await history.after(two, "evt.jobs.>")).messages == []
    assert (await history.bounds()).last == two


async def test_many_askers_get_their_own_answers(jobs, history):
    await tell(jobs, "evt.jobs.run.mine", 3)
    await tell(jobs, "evt.jobs.run.yours", 4)
    asked = [everything(history, 0, f"evt.jobs.run.{name}") for name in ("mine", "yours") * 5]
    assert [len(found) for found in await asyncio.gather(*asked)] == [3, 4] * 5


async def test_large_messages_come_a_few_at_a_time(jobs, history):
    for n in range(12):
        await streams.publish(jobs.connection, "evt.jobs.run.large", b"x" * 500_000, message_id=f"large:{n}")
    batch = await history.after(0, "evt.jobs.run.large")
    assert batch.more
    assert 0 < len(batch.messages) < 12
    assert len(await everything(history, 0, "evt.jobs.run.large")) == 12


async def test_a_stream_that_is_not_there_is_unavailable(nats):
    async with service_bus(nats, "gateway") as bus:
        missing = History(bus.connection, "EVENTS.none")
        await missing.start()
        with pytest.raises(Unavailable):
            await missing.after(0, "evt.>")
