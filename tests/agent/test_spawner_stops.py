"""Time-outs and stops: `stopped` means that nothing of the task is left, however hard its script tries."""

import asyncio
import fcntl
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from agent.spawning import ExitRecord
from tests.agent.spawner_rig import DEADLINE_S, HOST, OTHER_ACCOUNT, Rig, alive, rig, until

DAEMON = "cd /; exec </dev/null >/dev/null 2>&1; touch $READY; exec sleep NEEDLE"
UNMARK = "import resource as r; r.setrlimit(r.RLIMIT_RTTIME, (r.RLIM_INFINITY, r.RLIM_INFINITY))"
NASTY = {
    "plain": "touch ready; sleep NEEDLE",
    "setsid": "setsid sleep NEEDLE & touch ready; sleep NEEDLE",
    "double fork": "(setsid sleep NEEDLE &); touch ready; sleep NEEDLE",
    "env -i setsid": "env -i setsid sleep NEEDLE & touch ready; sleep NEEDLE",
    "respawner": "trap '' TERM; (trap '' TERM; while :; do setsid sleep NEEDLE; done) & touch ready; wait",
    "ignores signals": "trap '' TERM HUP INT; touch ready; while :; do sleep NEEDLE; done",
    "ignores signals in its own session": "setsid sh -c \"trap '' TERM HUP INT; touch ready; sleep NEEDLE; :\"; :",
    "background holds output": "sleep NEEDLE & touch ready; exit 0 & wait; sleep NEEDLE",
    "stopped process": "sleep NEEDLE & kill -STOP $!; touch ready; sleep NEEDLE",
    "daemon": f"export READY=$PWD/ready; env -i READY=$READY setsid sh -c '{DAEMON}' & sleep NEEDLE",
    "double fork daemon": f"export READY=$PWD/ready; (env -i READY=$READY setsid sh -c '({DAEMON}) &' &); sleep NEEDLE",
    "forks on and on": "trap '' TERM; touch ready; while :; do setsid sleep NEEDLE & sleep 0.005; done",
    "forks while it is being killed": "f() { (setsid sleep NEEDLE &); sleep 0.01; f & wait; }; touch ready; f",
    "many": "for i in 1 2 3 4 5 6 7 8 9; do (setsid env -i sleep NEEDLE &) ; done; touch ready; sleep NEEDLE",
}
UNMARKED = (
    "export READY=$PWD/ready; (env -i READY=$READY setsid "
    + f'{sys.executable} -S -c \'{UNMARK}; import os; os.chdir("/"); os.fork() and os._exit(0); '
    + 'os.closerange(0, 99); open(os.environ["READY"], "w").close(); os.execlp("sleep", "sleep", "NEEDLE")\' &); '
    + "sleep NEEDLE"
)
"""A daemon that also takes the mark off its limits: without a cgroup nothing tells any more whose it is."""


TIMEOUT_S = 10.0


@pytest_asyncio.fixture(params=["auto", "off"])
async def spawner(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(request.param) as one:
        yield one


async def begin(spawner: Rig, script: str, *, task: str = "t", **fields: object) -> Path:
    order = spawner.order(task, script, **fields)
    await spawner.spawning.spawn(order)
    await until((order.work / "ready").exists, "the script is ready")
    return order.work


async def stop(spawner: Rig, grace_s: float, task: str = "t") -> ExitRecord:
    await spawner.spawning.stop(HOST, task, grace_s)
    return await spawner.ended(task)


@pytest.mark.parametrize("account", [None, OTHER_ACCOUNT])
@pytest.mark.parametrize("name", NASTY)
async def test_a_stopped_script_leaves_nothing(spawner: Rig, name: str, account: str | None) -> None:
    await begin(spawner, NASTY[name], account=account)
    await until(spawner.survivors, "the script runs")
    record = await stop(spawner, 0.2)
    assert (record.ended_by, record.message) == ("stopped", "")
    assert spawner.survivors() == []


async def test_a_timed_out_script_leaves_nothing(spawner: Rig) -> None:
    """Each is ready long before its time is up; both at once, since that time is long."""
    graces, signals = {"double fork daemon": 20.0, "respawner": 0.2}, {"double fork daemon": 15, "respawner": 9}
    tasks = {name: name.replace(" ", "-") for name in graces}
    await asyncio.gather(
        *(
            begin(spawner, NASTY[name], task=task, timeout_s=TIMEOUT_S, kill_grace_s=graces[name])
            for name, task in tasks.items()
        )
    )
    for name, task in tasks.items():
        record = await spawner.ended(task)
        assert (record.ended_by, record.signal) == ("timed_out", signals[name])
    assert spawner.survivors() == []


async def test_a_process_that_nothing_speaks_for_is_never_called_stopped() -> None:
    async with rig("off") as spawner:
        await begin(spawner, UNMARKED)
        record = await stop(spawner, 0.0)
        (survivor,) = spawner.survivors()
        assert record.ended_by == "stop_failed"
        assert f"{survivor} (sleep)" in record.message


async def test_a_cgroup_reaches_what_nothing_else_speaks_for() -> None:
    """Where the host has no cgroups for us, the honest answer is the other one."""
    async with rig("auto") as spawner:
        await begin(spawner, UNMARKED)
        record = await stop(spawner, 0.0)
        has_groups = "cgroups off" not in (spawner.spawner_folder / "log").read_text()
        assert record.ended_by == ("stopped" if has_groups else "stop_failed")
        assert (spawner.survivors() == []) == has_groups


HOPPER = f"""
cat > hop.py <<END
import fcntl, os, time
lock = open("lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
open("ready", "w").close()
while not os.path.exists("../enough"):
    time.sleep(0.001)
    if os.fork():
        os._exit(0)
END
{sys.executable} -S hop.py &
sleep NEEDLE
"""


async def test_a_process_that_is_always_another_one_is_not_called_stopped_while_it_lives(spawner: Rig) -> None:
    """It forks and exits hundreds of times a second. All of its lives hold one lock."""
    work = await begin(spawner, HOPPER)
    record = await stop(spawner, 0.0)
    with (work / "lock").open() as lock:
        if record.ended_by == "stopped":
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if anybody lives
    (work.parent / "enough").touch()
    assert record.ended_by in {"stopped", "stop_failed"}


async def test_term_comes_first_and_the_script_may_tidy_up(spawner: Rig) -> None:
    work = await begin(spawner, "trap 'echo tidied; exit 7' TERM; touch ready; while :; do sleep 0.01; done")
    record = await stop(spawner, 20.0)
    assert (record.ended_by, record.exit_code) == ("stopped", 7)
    assert (work.parent / "output").read_text().endswith("tidied\n")


async def test_a_second_stop_shortens_the_grace_and_never_lengthens_it(spawner: Rig) -> None:
    await begin(spawner, NASTY["ignores signals"])
    await spawner.spawning.stop(HOST, "t", 100_000.0)
    assert [task.state for task in await spawner.spawning.running()] == ["stopping"]
    await spawner.spawning.stop(HOST, "t", 0.1)
    await spawner.spawning.stop(HOST, "t", 100_000.0)
    assert (await spawner.ended("t")).ended_by == "stopped"


async def test_other_tasks_and_strangers_are_left_alone(spawner: Rig) -> None:
    await begin(spawner, NASTY["double fork daemon"], task="other")
    await until(lambda: len(spawner.survivors()) == 2, "the script and its daemon sleep")
    others = set(spawner.survivors())
    work = await begin(spawner, NASTY["setsid"])
    with (work.parent / "output").open("rb") as output:
        reader = await asyncio.create_subprocess_exec("sleep", "3600", cwd=work, stdin=output)
    try:
        record = await stop(spawner, 0.1)
        assert record.ended_by == "stopped"
        assert reader.returncode is None
        assert set(spawner.survivors()) == others
    finally:
        reader.kill()
        await reader.wait()


async def test_what_another_service_runs_with_the_tasks_environment_is_ended_too(spawner: Rig) -> None:
    work = await begin(spawner, "echo $DROVER_MARK > ready.new; mv ready.new ready; sleep NEEDLE")
    environment = {"DROVER_MARK": (work / "ready").read_text().strip(), "PATH": os.defpath}
    outsider = await asyncio.create_subprocess_exec("sleep", "3600", env=environment)
    assert (await stop(spawner, 0.1)).ended_by == "stopped"
    assert await asyncio.wait_for(outsider.wait(), DEADLINE_S) == -15


async def test_a_daemon_left_by_a_normal_end_lives_on(spawner: Rig) -> None:
    order = spawner.order("t", NASTY["double fork daemon"].replace("; sleep NEEDLE", "; true"))
    await spawner.spawning.spawn(order)
    assert (await spawner.ended("t")).ended_by == "exit"
    await until((order.work / "ready").exists, "the daemon is up")
    await until(lambda: len(spawner.survivors()) == 1, "only the daemon is left")
    await begin(spawner, "touch ready; sleep NEEDLE", task="next")
    assert (await stop(spawner, 0.1, "next")).ended_by == "stopped"
    assert len(spawner.survivors()) == 1


async def test_no_zombie_stays(spawner: Rig) -> None:
    work = await begin(spawner, "(sh -c 'sleep 0.05; echo $$ > ../../orphan' &); touch ready; sleep NEEDLE")
    orphan = work.parent.parent / "orphan"
    await until(lambda: orphan.exists() and orphan.read_text(), "the orphan has lived")
    await until(lambda: not Path(f"/proc/{orphan.read_text().strip()}").exists(), "the orphan is reaped")


async def test_stopping_a_task_that_has_ended_changes_nothing(spawner: Rig) -> None:
    record, _ = await spawner.run("exit 3")
    await spawner.spawning.stop(HOST, "t", 0.0)
    (known,) = await spawner.spawning.running()
    assert known.record == record


async def test_a_stop_that_races_the_end_gives_one_record(spawner: Rig) -> None:
    async def race(n: int) -> ExitRecord:
        order = spawner.order(f"t{n}", "exit 5")
        await spawner.spawning.spawn(order)
        for _ in range(n % 5):
            await asyncio.sleep(0)
        await spawner.spawning.stop(HOST, f"t{n}", 1.0)
        return await spawner.ended(f"t{n}")

    records = await asyncio.gather(*(race(n) for n in range(100)))
    assert {record.ended_by for record in records} <= {"exit", "stopped"}
    assert all(record.exit_code == 5 for record in records if record.ended_by == "exit")
    told = {task.task: task.record for task in await spawner.spawning.running()}
    assert told == {record.task: record for record in records}


async def test_many_stops_at_once(spawner: Rig) -> None:
    await asyncio.gather(*(begin(spawner, NASTY["double fork"], task=f"t{n}") for n in range(40)))
    records = await asyncio.gather(*(stop(spawner, 0.1, f"t{n}") for n in range(40)))
    assert {record.ended_by for record in records} == {"stopped"}
    assert spawner.survivors() == []
    assert alive(spawner.spawner_pid())
