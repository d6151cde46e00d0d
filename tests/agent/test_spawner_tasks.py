"""What a task finds when it starts, and what is known when it has ended."""

import asyncio
import grp
import hashlib
import json
import os
import pwd
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from agent.spawner.procfs import boot_id
from agent.spawning import SpawnRefused, read_exit_record
from tests.agent.spawner_rig import HOST, OTHER_ACCOUNT, Rig, rig


@pytest_asyncio.fixture
async def spawner() -> AsyncIterator[Rig]:
    async with rig() as one:
        yield one


@pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
async def test_the_exit_code_is_the_scripts(spawner: Rig, code: int) -> None:
    record, _ = await spawner.run(f"exit {code}")
    assert (record.ended_by, record.exit_code, record.signal, record.reason) == ("exit", code, None, "")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
async def test_a_signal_is_told_from_an_exit_code(spawner: Rig, number: signal.Signals) -> None:
    record, _ = await spawner.run(f"kill -{number:d} $$")
    assert (record.ended_by, record.exit_code, record.signal) == ("exit", None, number)


async def test_stdout_and_stderr_keep_their_order(spawner: Rig) -> None:
    _, output = await spawner.run("for i in 1 2 3; do echo out $i; echo err $i >&2; done")
    assert output == "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n"


async def test_the_record_in_the_folder_is_the_one_that_was_told(spawner: Rig) -> None:
    record, _ = await spawner.run("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
    assert read_exit_record(spawner.root / f"{HOST}.t") == record
    assert record.ended >= record.started
    assert record.cpu_s is not None and record.cpu_s > 0
    assert record.boot_id == boot_id()


async def test_without_a_record_none_is_read(tmp_path: Path) -> None:
    assert read_exit_record(tmp_path) is None


async def test_the_environment_is_built_from_nothing(spawner: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_AGENT", "x")
    _, output = await spawner.run("env", env={"REGION": "js=1", "HOME": "/somewhere"})
    found = dict(line.split("=", 1) for line in output.splitlines())
    own = pwd.getpwuid(os.geteuid())
    assert found.pop("DROVER_MARK")
    assert found.pop("PWD") == str(spawner.root / f"{HOST}.t" / "work")
    assert found == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/somewhere",
        "USER": own.pw_name,
        "LOGNAME": own.pw_name,
        "SHELL": own.pw_shell,
        "LANG": "C.UTF-8",
        "REGION": "js=1",
        "DROVER_HOST": HOST,
        "DROVER_TASK": "t",
    }


async def test_a_script_finds_ordinary_conditions(spawner: Rig) -> None:
    script = "umask; ls /proc/self/fd; readlink /proc/self/fd/0; sed -n 's/^Sig...:.//p' /proc/self/status"
    _, output = await spawner.run(script)
    lines = output.splitlines()
    assert lines[:6] == ["0022", "0", "1", "2", "3", "/dev/null"]  # 3 is the folder that ls itself has open
    pending, blocked, ignored, caught = (int(line, 16) for line in lines[6:10])
    kept_by_libc = 0b11 << 31  # 32 and 33, which glibc's posix_spawn ignores for its threads
    assert (pending, blocked, ignored & ~kept_by_libc, caught) == (0, 0, 0, 0)


async def test_arguments_pass_unchanged(spawner: Rig) -> None:
    words = ["", "a b", "$HOME", "'\"", "line\nbreak", "ü", "-n", "*"]
    _, output = await spawner.run('for word; do printf "%s\\0" "$word"; done', *words)
    assert output.split("\0")[:-1] == words


async def test_another_account_has_its_own_groups_and_no_rights(spawner: Rig) -> None:
    record, output = await spawner.run(
        "id -un; id -gn; id -G; echo $USER $LOGNAME $HOME; touch mine; stat -c %U . mine; cat /proc/self/status",
        account=OTHER_ACCOUNT,
    )
    entry = pwd.getpwnam(OTHER_ACCOUNT)
    groups = " ".join(map(str, os.getgrouplist(OTHER_ACCOUNT, entry.pw_gid)))
    lines = output.splitlines()
    assert record.exit_code == 0, output
    assert lines[:3] == [OTHER_ACCOUNT, grp.getgrgid(entry.pw_gid).gr_name, groups]
    assert lines[3:6] == [f"{OTHER_ACCOUNT} {OTHER_ACCOUNT} {entry.pw_dir}", OTHER_ACCOUNT, OTHER_ACCOUNT]
    assert "CapEff:\t0000000000000000" in lines
    assert f"NoNewPrivs:\t{0 if entry.pw_uid == os.geteuid() else 1}" in lines


async def test_another_account_may_write_to_its_output_by_name(spawner: Rig) -> None:
    _, output = await spawner.run("echo one; echo two >> /dev/stderr", account=OTHER_ACCOUNT)
    assert output == "one\ntwo\n"


@pytest.mark.parametrize("account", [None, OTHER_ACCOUNT])
async def test_parameters_are_read_again_and_again_from_the_descriptor(spawner: Rig, account: str | None) -> None:
    secret = bytes(range(256)) * 300
    script = "for i in 1 2; do sha256sum < /proc/self/fd/$DROVER_PARAMS_FD; done; env; cat /proc/$$/cmdline"
    record, output = await spawner.run(script, account=account, params=secret)
    digest = hashlib.sha256(secret).hexdigest()
    assert record.exit_code == 0
    assert output.count(digest) == 2


async def test_without_parameters_there_is_no_descriptor(spawner: Rig) -> None:
    _, output = await spawner.run("echo [$DROVER_PARAMS_FD]")
    assert output == "[]\n"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"argv": ("/no/such/program",)}, "task.interpreter_missing"),
        ({"argv": ("no-such-program",)}, "task.interpreter_missing"),
        ({"argv": ("/etc/passwd",)}, "task.interpreter_missing"),
        ({"argv": ("/",)}, "task.interpreter_missing"),
        ({"account": "no-such-account"}, "account.unknown"),
        ({"account": "0"}, "account.refused"),
        ({"account": "-1"}, "account.refused"),
        ({"account": "4294967295"}, "account.refused"),
        ({"argv": ("sh", "-c", ":", "x" * 200_000)}, "task.spawn_failed"),
    ],
)
async def test_what_cannot_start_is_refused_and_recorded(spawner: Rig, fields: dict[str, object], reason: str) -> None:
    order = spawner.order("t", "echo ran", **fields)
    with pytest.raises(SpawnRefused) as refused:
        await spawner.spawning.spawn(order)
    assert refused.value.reason == reason
    record = read_exit_record(order.folder)
    assert record is not None
    assert (record.ended_by, record.reason, record.pid) == ("spawn_failed", reason, 0)
    assert record.message == refused.value.message


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "H"},
        {"task": "../x"},
        {"argv": ()},
        {"argv": ("sh", "a\0b")},
        {"timeout_s": -1.0},
        {"timeout_s": float("nan")},
        {"kill_grace_s": 1e9},
        {"env": {"A=B": "c"}},
        {"env": {"": "c"}},
        {"env": {"A": "b\0"}},
        {"output": "../output"},
        {"output": "exit.json"},
    ],
)
async def test_a_malformed_order_touches_nothing(spawner: Rig, fields: dict[str, object]) -> None:
    order = spawner.order("t", "echo ran")
    with pytest.raises(SpawnRefused) as refused:
        await spawner.spawning.spawn(type(order)(**(vars(order) | fields)))
    assert refused.value.reason == "malformed"
    assert list(order.folder.iterdir()) == []
    assert await spawner.spawning.running() == []


async def test_a_missing_folder_is_refused_in_words(spawner: Rig) -> None:
    order = spawner.order("t", "echo ran")
    order.folder.rmdir()
    with pytest.raises(SpawnRefused) as refused:
        await spawner.spawning.spawn(order)
    assert "missing" in refused.value.message and str(order.folder) in refused.value.message


async def test_a_task_is_never_run_twice(spawner: Rig) -> None:
    order = spawner.order("t", "echo ran >> ../runs")
    await spawner.spawning.spawn(order)
    for _ in range(2):
        with pytest.raises(SpawnRefused) as refused:
            await spawner.spawning.spawn(order)
        assert refused.value.reason == "already_known"
        await spawner.ended("t")
    record = read_exit_record(order.folder)
    await spawner.spawning.forget(HOST, "t")
    with pytest.raises(SpawnRefused) as refused:
        await spawner.spawning.spawn(order)
    assert refused.value.reason == "already_ran"
    assert (order.folder / "runs").read_text() == "ran\n"
    assert read_exit_record(order.folder) == record


async def test_one_task_of_many_hosts_at_once(spawner: Rig) -> None:
    hosts = [f"h-{n}" for n in range(200)]
    orders = [
        spawner.order("t", f"echo hello from $DROVER_HOST; exit {n % 7}", host=host) for n, host in enumerate(hosts)
    ]
    await asyncio.gather(*(spawner.spawning.spawn(order) for order in orders))
    records = await asyncio.gather(*(spawner.ended("t", host) for host in hosts))
    assert [record.exit_code for record in records] == [n % 7 for n in range(200)]
    outputs = [(order.folder / "output").read_text() for order in orders]
    assert outputs == [f"hello from {host}\n" for host in hosts]


async def test_forgotten_tasks_are_gone_and_running_ones_cannot_be_forgotten(spawner: Rig) -> None:
    await spawner.run("true", task="short")
    await spawner.spawning.spawn(spawner.order("long", "sleep NEEDLE"))
    assert {(task.task, task.state) for task in await spawner.spawning.running()} == {
        ("short", "ended"),
        ("long", "running"),
    }
    await spawner.spawning.forget(HOST, "short")
    await spawner.spawning.forget(HOST, "long")
    assert [task.task for task in await spawner.spawning.running()] == ["long"]


async def test_what_is_not_a_request_is_answered_and_the_connection_lives(spawner: Rig) -> None:
    await spawner.run("true")
    reader, writer = await asyncio.open_unix_connection(str(spawner.spawner_folder / "socket"))
    lines = [b"", b"{", b"[]", b"[" * 100_000, b"\xff", b'{"id":7}', b'{"id":8,"do":"spawn"}', b'{"id":9,"do":"list"}']
    writer.write(b"\n".join(lines) + b"\n")
    answers = [json.loads(await reader.readline()) for _ in lines]
    assert [answer["say"] for answer in answers] == ["refused"] * 7 + ["tasks"]
    assert {answer.get("reason") for answer in answers[:7]} == {"malformed"}
    assert [answer["id"] for answer in answers[5:]] == [7, 8, 9]
    writer.close()
    await writer.wait_closed()
