"""The spawner outlives agents, is found again, leaves when nobody needs it, and its death is never hidden."""

import asyncio
import fcntl
import os
import signal
import socket
import sys
import termios
import time
from array import array

import pytest

from agent.spawner import procfs
from agent.spawner.protocol import MAX_LINE_BYTES
from agent.spawning import SpawnerGone, Spawning, SpawnRefused, read_exit_record
from tests.agent.spawner_rig import DEADLINE_S, HOST, alive, rig, until

AGENT = """
import asyncio, sys
from pathlib import Path
from agent.spawning import Spawning, SpawnOrder

async def main(spawner, folder, script):
    spawning = Spawning(Path(spawner))
    order = SpawnOrder(host="h-1", task="t", argv=("sh", "-c", script), folder=Path(folder), timeout_s=60)
    await spawning.spawn(order)
    print("spawned", flush=True)
    await spawning.wait_exit("h-1", "t")

asyncio.run(main(*sys.argv[1:]))
"""


async def test_tasks_outlive_an_agent_that_is_killed() -> None:
    async with rig() as spawner:
        order = spawner.order("t", "")
        script = f"while [ ! -e ../go ]; do sleep 0.01; done; echo went; exit 4; # {spawner.needle}"
        agent = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", AGENT, str(spawner.spawner_folder), str(order.folder), script),
            stdout=asyncio.subprocess.PIPE,
        )
        assert agent.stdout is not None
        assert await agent.stdout.readline() == b"spawned\n"
        agent.kill()
        await agent.wait()
        (found,) = await spawner.spawning.running()
        assert (found.host, found.task, found.state, found.record) == (HOST, "t", "running", None)
        (order.folder / "go").touch()
        assert (await spawner.ended("t")).exit_code == 4
        assert (order.folder / "output").read_text() == "went\n"


async def test_an_end_that_no_agent_saw_is_found_by_the_next_one() -> None:
    async with rig() as spawner:
        order = spawner.order("t", "while [ ! -e ../go ]; do sleep 0.01; done; exit 6")
        await spawner.spawning.spawn(order)
        await spawner.spawning.close()
        (order.folder / "go").touch()
        await until(lambda: read_exit_record(order.folder), "the record is written")
        spawner.spawning = spawner.client()
        (found,) = await spawner.spawning.running()
        assert found.record is not None and found.record.exit_code == 6
        assert await spawner.ended("t") == found.record == read_exit_record(order.folder)


async def test_an_end_told_in_one_breath_with_the_list_is_heard() -> None:
    async with rig() as spawner:
        order = spawner.order("t", "while [ ! -e ../go ]; do sleep 0.01; done; exit 4")
        other = spawner.client()
        await spawner.run("true", task="first")
        await other.running()
        await spawner.spawning.spawn(order)
        os.kill(spawner.spawner_pid(), signal.SIGSTOP)
        asking = asyncio.create_task(other.running())
        for _ in range(10):  # the question goes out, and nothing comes in
            await asyncio.sleep(0)
        assert other._line is not None
        wire = other._line._transport.get_extra_info("socket")
        os.kill(spawner.spawner_pid(), signal.SIGCONT)
        listed = _more_unread(wire, 0)
        (order.folder / "go").touch()
        _more_unread(wire, listed)

        running = [task.task for task in await asking if task.state == "running"]

        assert running == ["t"], "the answer was older than the end"
        assert (await asyncio.wait_for(other.wait_exit(HOST, "t"), DEADLINE_S)).exit_code == 4
        await other.close()


def _more_unread(wire: socket.socket, than: int) -> int:
    """Bytes that wait to be read, once they are more. Blocks: nobody may read them meanwhile."""
    until = time.monotonic() + DEADLINE_S
    unread = array("i", [than])
    while unread[0] <= than:
        assert time.monotonic() < until, "the spawner says nothing"
        time.sleep(0.005)
        fcntl.ioctl(wire.fileno(), termios.FIONREAD, unread)
    return unread[0]


async def test_the_spawner_is_detached_and_private() -> None:
    async with rig() as spawner:
        os.environ["SECRET_OF_THE_AGENT"] = "x"
        try:
            await spawner.run("true")
        finally:
            del os.environ["SECRET_OF_THE_AGENT"]
        pid = spawner.spawner_pid()
        assert os.getsid(pid) != os.getsid(0)
        assert procfs.read(pid, "environ").startswith(b"P")
        assert b"SECRET_OF_THE_AGENT" not in procfs.read(pid, "environ")
        assert spawner.spawner_folder.stat().st_mode & 0o777 == 0o700
        assert (spawner.spawner_folder / "socket").stat().st_mode & 0o777 == 0o600


async def test_asking_what_runs_starts_nothing() -> None:
    async with rig() as spawner:
        assert await spawner.spawning.running() == []
        await spawner.spawning.forget(HOST, "t")
        with pytest.raises(SpawnerGone):
            await spawner.spawning.stop(HOST, "t", 1.0)
        with pytest.raises(SpawnerGone):
            await spawner.spawning.wait_exit(HOST, "t")
        assert not spawner.spawner_folder.exists()


async def test_agents_that_start_at_once_share_one_spawner() -> None:
    async with rig() as spawner:
        clients = [spawner.client() for _ in range(4)]
        orders = [spawner.order(f"t{n}", "echo $PPID") for n in range(4)]
        await asyncio.gather(*(client.spawn(order) for client, order in zip(clients, orders, strict=True)))
        await asyncio.gather(*(client.wait_exit(HOST, f"t{n}") for n, client in enumerate(clients)))
        assert len({(order.folder / "output").read_text() for order in orders}) == 1
        for client in clients:
            assert len(await client.running()) == 4
            await client.close()


async def test_a_killed_spawner_is_told_and_the_next_one_knows_nothing() -> None:
    async with rig() as spawner:
        ended, _ = await spawner.run("exit 2", task="ended")
        order = spawner.order("open", "sleep NEEDLE")
        await spawner.spawning.spawn(order)
        await until(spawner.survivors, "the script sleeps")
        waiting = asyncio.create_task(spawner.spawning.wait_exit(HOST, "open"))
        os.kill(spawner.spawner_pid(), signal.SIGKILL)
        with pytest.raises(SpawnerGone):
            await asyncio.wait_for(waiting, DEADLINE_S)
        with pytest.raises(SpawnerGone):
            await spawner.ended("open")
        assert await spawner.spawning.running() == []
        assert read_exit_record(order.folder) is None
        assert read_exit_record(spawner.root / f"{HOST}.ended") == ended
        with pytest.raises(SpawnRefused) as refused:
            await spawner.spawning.spawn(order)
        assert refused.value.reason == "already_ran"
        await spawner.run("true", task="after")
        assert [task.task for task in await spawner.spawning.running()] == ["after"]
        assert len(spawner.survivors()) == 1, "a task that was running is not touched by the next spawner"


async def test_a_spawner_without_agent_and_task_leaves_and_another_follows() -> None:
    async with rig(linger_s=0.1) as spawner:
        order = spawner.order("t", "while [ ! -e ../go ]; do sleep 0.01; done")
        await spawner.spawning.spawn(order)
        first = spawner.spawner_pid()
        await spawner.spawning.close()
        other = spawner.client()
        assert [task.state for task in await other.running()] == ["running"]
        await other.close()
        assert alive(first)
        (order.folder / "go").touch()
        await until(lambda: not alive(first), "the first spawner has left")
        assert read_exit_record(order.folder) is not None
        assert not (spawner.spawner_folder / "socket").exists()
        record, _ = await spawner.run("exit 9", task="next")
        assert record.exit_code == 9


async def test_a_termination_waits_for_the_tasks() -> None:
    async with rig() as spawner:
        order = spawner.order("t", "while [ ! -e ../go ]; do sleep 0.01; done; exit 8")
        await spawner.spawning.spawn(order)
        pid = spawner.spawner_pid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid, number)
        assert len(await spawner.spawning.running()) == 1
        (order.folder / "go").touch()
        await until(lambda: not alive(pid), "the spawner has left")
        record = read_exit_record(order.folder)
        assert record is not None and record.exit_code == 8


async def test_a_record_that_cannot_be_written_is_told_and_written_later() -> None:
    async with rig(linger_s=0.0) as spawner:
        order = spawner.order("t", "exit 3")
        obstacle = order.folder / "exit.json.new"
        obstacle.mkdir()
        await spawner.spawning.spawn(order)
        record = await spawner.ended("t")
        assert record.exit_code == 3
        assert read_exit_record(order.folder) is None
        await spawner.spawning.close()
        obstacle.rmdir()
        await until(lambda: read_exit_record(order.folder) == record, "the record is written after all")


async def test_a_deep_folder_is_no_obstacle() -> None:
    async with rig() as spawner:
        spawning = Spawning(spawner.root / ("d" * 100) / ("e" * 100), linger_s=0.0)
        await spawning.spawn(spawner.order("t", "exit 3"))
        assert (await asyncio.wait_for(spawning.wait_exit(HOST, "t"), DEADLINE_S)).exit_code == 3
        await spawning.close()


async def test_a_spawner_that_cannot_start_says_where_to_look() -> None:
    async with rig() as spawner:
        (spawner.spawner_folder / "socket").mkdir(parents=True)
        with pytest.raises(SpawnerGone, match=str(spawner.spawner_folder / "log")):
            await spawner.run("true")
        (spawner.spawner_folder / "socket").rmdir()
        assert (await spawner.run("exit 1"))[0].exit_code == 1


async def test_an_order_that_is_too_large_is_refused_before_it_is_sent() -> None:
    async with rig() as spawner:
        with pytest.raises(SpawnRefused) as refused:
            await spawner.spawning.spawn(spawner.order("t", "true", params=bytes(MAX_LINE_BYTES)))
        assert refused.value.reason == "malformed"


async def test_an_agent_that_never_reads_harms_nobody() -> None:
    async with rig() as spawner:
        await spawner.run("true")
        _, writer = await asyncio.open_unix_connection(str(spawner.spawner_folder / "socket"))
        writer.transport.pause_reading()
        writer.write(b'{"do":"list"}\n' * 20_000)
        assert (await spawner.run("exit 5", task="other"))[0].exit_code == 5
        writer.transport.abort()
