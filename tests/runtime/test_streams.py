"""Publishing to JetStream from behind a leaf, and the continuous pull at the hub."""

import asyncio

import pytest
import pytest_asyncio

from contracts import subjects
from runtime.bus import Pull, StreamSettings, streams
from tests.conftest import service_bus
from tests.hosts import host_connection
from tests.servers import READY_S, until

RESULTS = StreamSettings(name="RESULTS", subjects=("res.*.*.*",), retention="workqueue", max_bytes=2**26, discard="new")


@pytest_asyncio.fixture
async def jobs(nats):
    async with service_bus(nats, "jobs") as bus:
        await streams.ensure_stream(bus.connection, RESULTS)
        await streams.ensure_consumer(bus.connection, "RESULTS", "ingest", ack_wait_s=60, max_ack_pending=5000)
        yield bus


@pytest_asyncio.fixture
async def agent(nats, tmp_path):
    connection = host_connection(nats, tmp_path, "js", "h-1")
    connection.start()
    await connection.wait_connected()
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def pull(jobs):
    pull = Pull(jobs.connection, "RESULTS", "ingest", size=50)
    await pull.start()
    yield pull
    await pull.close()


async def publish(agent, count, *, first=0):
    subject = subjects.result("js", "h-1", "t-1")
    for n in range(first, first + count):
        await streams.publish(agent, subject, str(n).encode(), message_id=f"m{n}")


async def take(pull, count):
    taken = []
    async with asyncio.timeout(READY_S):
        while len(taken) < count:
            messages = await pull.batch()
            await pull.ack(messages)
            taken += messages
    return [int(message.data) for message in taken]


async def drained(jobs):
    async def empty():
        state = (await streams.api(jobs.connection, "STREAM.INFO.RESULTS"))["state"]
        return state["messages"] == 0

    await until(empty, "the work queue is empty")


async def test_every_message_comes_once_and_in_order(jobs, agent, pull):
    taking = asyncio.create_task(take(pull, 300))
    await publish(agent, 300)
    assert await taking == list(range(300))
    await drained(jobs)


async def test_a_message_that_is_published_again_is_not_stored_again(jobs, agent, pull):
    subject = subjects.result("js", "h-1", "t-1")
    first = await streams.publish(agent, subject, b"7", message_id="again")
    assert await streams.publish(agent, subject, b"7", message_id="again") == first
    assert await take(pull, 1) == [7]
    await drained(jobs)


async def test_what_is_put_off_comes_again(jobs, agent, pull):
    await publish(agent, 3, first=1000)
    async with asyncio.timeout(READY_S):
        put_off = []
        while len(put_off) < 3:
            put_off += await pull.batch()
    await pull.again(put_off, delay_s=0.05)
    assert sorted(await take(pull, 3)) == [1000, 1001, 1002]
    await drained(jobs)


async def test_pulling_goes_on_after_the_hub_was_killed(nats, jobs, agent, pull):
    await publish(agent, 10, first=2000)
    assert await take(pull, 10) == list(range(2000, 2010))
    await nats.kill("hub")
    await nats.start("hub")
    for idc in nats.leaf_urls:
        await nats.joined(idc)
    await until(lambda: jobs.connected, "jobs is back")

    async def through():
        try:
            await publish(agent, 1, first=3000)
        except (ConnectionError, TimeoutError):
            return False
        return True

    await until(through, "the agent's result reaches the hub again")
    taken = []
    while 3000 not in taken:  # acknowledgements that the hub had not written down bring their messages once more
        taken += await take(pull, 1)
    assert set(taken) <= {*range(2000, 2010), 3000}


async def test_in_a_stream_of_messages_they_gather_and_the_first_one_does_not_wait(jobs, agent, pull):
    await pull.close()
    await jobs.connection.flush()  # else the first message may go to the order of the pull that is gone
    patient = streams.Pull(jobs.connection, "RESULTS", "ingest", spacing_s=3.0)
    await patient.start()
    await publish(agent, 1, first=4000)
    batches = [await patient.batch()]
    await publish(agent, 20, first=5000)
    while sum(map(len, batches)) < 21:
        batches.append(await patient.batch())
    taken = [message for batch in batches for message in batch]
    assert sorted(int(message.data) for message in taken) == [4000, *range(5000, 5020)]
    assert len(batches[0]) == 1
    assert len(batches) < 5  # one more on a machine that has time for us
    await patient.ack(taken)
    await patient.close()
    await drained(jobs)


async def test_a_stream_of_ours_with_other_settings_is_changed(jobs):
    wider = StreamSettings(
        name="RESULTS", subjects=("res.*.*.*",), retention="workqueue", max_bytes=2**27, discard="new"
    )
    await streams.ensure_stream(jobs.connection, wider)
    info = await streams.api(jobs.connection, "STREAM.INFO.RESULTS")
    assert info["config"]["max_bytes"] == 2**27


async def test_a_full_stream_says_so_and_keeps_what_it_has(jobs, agent, pull):
    tiny = StreamSettings(name="RESULTS", subjects=("res.*.*.*",), retention="workqueue", max_bytes=2000, discard="new")
    await streams.ensure_stream(jobs.connection, tiny)
    subject = subjects.result("js", "h-1", "t-1")
    with pytest.raises(streams.StreamRefused):
        for n in range(50):
            await streams.publish(agent, subject, b"x" * 100, message_id=f"full{n}")
    await streams.ensure_stream(jobs.connection, RESULTS)
