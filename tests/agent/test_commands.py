"""Commands on the real bus: refused ones start nothing, repeated ones start nothing twice."""

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from agent.app import Agent
from agent.outcome_files import RESULT_NAME
from contracts import subjects
from contracts.agents import GRANT_HEADER, SIGNATURE_HEADER, Receipts, RunScript, TaskState, Verb
from contracts.states import Outcome
from runtime.signing import seal, sha256
from tests.agent.agent_rig import Dispatcher, Home, new_task, reached
from tests.servers import until

SCRIPT = RunScript(language="shell", script="true", timeout_s=60)
BODY = msgspec.json.encode(SCRIPT)


def counted(agent: Agent, reason: str) -> int:
    return agent.parts.kit.counters[f"refused_{reason}"]


async def raw(jobs: Dispatcher, own, headers: dict[str, str], data: bytes = BODY, reply: str = "") -> None:
    await jobs.bus.connection.publish(subjects.command(own.idc, own.host), data, headers=headers, reply=reply)


async def test_unsigned_commands_are_counted_and_get_no_answer(jobs: Dispatcher, home: Home):
    agent = await home.agent()
    own = await reached(jobs, agent)
    task = new_task()
    good = jobs.headers(own, Verb.RUN, task, BODY)
    forged = good | {SIGNATURE_HEADER: good[SIGNATURE_HEADER][:-8] + "AAAAAA=="}
    altered = good | {GRANT_HEADER: good[GRANT_HEADER].replace(own.host, "h-000000000000")}
    stranger = good | {SIGNATURE_HEADER: "0123456789ab." + good[SIGNATURE_HEADER].partition(".")[2]}
    for headers in (forged, altered, stranger, {}, {GRANT_HEADER: "[" * 20_000, SIGNATURE_HEADER: "x.y"}):
        await raw(jobs, own, headers)
    await raw(jobs, own, {}, os.urandom(64 * 1024))
    await until(lambda: counted(agent, "grant.bad_signature") == 2, "two bad signatures are counted")
    await until(lambda: counted(agent, "grant.unknown_key") == 2, "two unknown keys are counted")
    await until(lambda: counted(agent, "grant.missing") == 2, "two commands without a grant are counted")
    assert jobs.acks_of(own, task) == []
    assert task not in agent.parts.tasks
    await jobs.report(own, await jobs.run(own, "true"))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"host": "h-ffffffffffff"}, "grant.wrong_host"),
        ({"issued": 1.0, "not_after": 2.0}, "grant.expired"),
        ({"issued": 9e9, "not_after": 9e9}, "grant.clock_skew"),
        ({"sha256": "0" * 64}, "grant.hash_mismatch"),
    ],
)
async def test_signed_commands_that_may_come_again_are_answered_with_the_reason(
    jobs: Dispatcher, home: Home, fields: dict, reason: str
):
    agent = await home.agent()
    own = await reached(jobs, agent)
    task = new_task()
    await jobs.command(own, Verb.RUN, task, BODY, **fields)
    ack = await jobs.ack(own, task)
    assert (ack.state, ack.reason) == (None, reason)
    assert ack.message
    assert task not in agent.parts.tasks
    await jobs.run(own, "true", task=task)
    assert (await jobs.report(own, task)).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("body", "fields", "reason"),
    [
        (BODY, {"v": 99}, "grant.unsupported_version"),
        (b"{}", {}, "command.malformed"),
        (b"[" * 100_000, {}, "command.malformed"),
        (BODY, {"sealed": "bm90IGEgYm94"}, "grant.unsealable"),
        (msgspec.json.encode(msgspec.structs.replace(SCRIPT, account="nobodyknowsme")), {}, "account.unknown"),
        (msgspec.json.encode(msgspec.structs.replace(SCRIPT, account="0")), {}, "account.refused"),
        (msgspec.json.encode(msgspec.structs.replace(SCRIPT, env={"LD_PRELOAD": "x"})), {}, "run.refused_variable"),
        (msgspec.json.encode(msgspec.structs.replace(SCRIPT, script="#!/tmp/x\n")), {}, "task.interpreter_refused"),
        (msgspec.json.encode(msgspec.structs.replace(SCRIPT, script="#!/bin/zsh\n")), {}, "task.interpreter_missing"),
    ],
)
async def test_what_can_never_start_is_reported_as_refused_and_stays_so(
    jobs: Dispatcher, home: Home, body: bytes, fields: dict, reason: str
):
    if reason == "account.unknown" and os.geteuid() != 0:
        reason = "account.refused"  # who cannot change accounts does not look for them
    agent = await home.agent()
    own = await reached(jobs, agent)
    task = new_task()
    await jobs.command(own, Verb.RUN, task, body, **fields)
    report = await jobs.report(own, task)
    assert (report.outcome, report.reason) == (Outcome.REFUSED, reason)
    assert report.message
    assert report.started_at is None
    await until(lambda: task not in agent.parts.tasks, "the report is stored")
    await jobs.run(own, "true", task=task)
    await jobs.answered(own, task, TaskState.STORED)
    assert len(jobs.reports(own, task)) == 1


async def test_the_reply_field_of_a_command_chooses_nothing(jobs: Dispatcher, home: Home):
    own = await reached(jobs, await home.agent())
    strays = []

    async def stray(message):
        strays.append(message.subject)

    ear = await jobs.bus.hear(f"svc.*.jobs.{own.host}", stray)
    inbox = f"{subjects.inbox('jobs')}.{own.host}"
    other = await jobs.bus.hear(inbox, stray)
    for reply in (f"svc.jobs.jobs.{own.host}", inbox):
        task = new_task()
        await raw(jobs, own, jobs.headers(own, Verb.RUN, task, BODY), reply=reply)
        await jobs.report(own, task)
    assert strays == []
    for each in (ear, other):
        await jobs.bus.connection.unsubscribe(each)


async def test_a_thousand_copies_of_a_command_start_one_process(jobs: Dispatcher, home: Home, passable: Path):
    agent = await home.agent()
    own = await reached(jobs, agent)
    effects = passable / "effects"
    jobs.stores = False
    try:
        task = new_task()
        body = msgspec.json.encode(msgspec.structs.replace(SCRIPT, script=f"echo $$ >> {effects}; sleep 0.2"))
        headers = jobs.headers(own, Verb.RUN, task, body)
        for copy in range(1000):
            await raw(jobs, own, headers, body)
            if copy == 500:
                await jobs.report(own, task)
        await until(lambda: agent.parts.kit.counters["command_run"] == 1000, "all copies arrived")
        await jobs.bus.connection.flush()
        await home.stop(agent)
        agent = await home.agent()
        await reached(jobs, agent)
        for _ in range(10):
            await raw(jobs, own, headers, body)
        await until(lambda: jobs.acks_of(own, task)[-1].state is TaskState.DONE, "after a restart it is still known")
    finally:
        jobs.stores = True
    await until(lambda: agent.parts.kit.counters["command_run"] == 10, "all copies arrived")
    assert effects.read_text().count("\n") == 1
    assert {report.outcome for report in jobs.reports(own, task)} == {Outcome.SUCCEEDED}
    await jobs.stored(own, (task, 0))
    await until(lambda: task not in agent.parts.tasks, "the task is freed")


async def test_a_cancel_that_comes_first_keeps_the_script_from_starting(jobs: Dispatcher, home: Home, passable: Path):
    agent = await home.agent()
    own = await reached(jobs, agent)
    task = new_task()
    await jobs.cancel(own, task)
    assert (await jobs.ack(own, task, Verb.CANCEL)).state is TaskState.CANCELLED
    report = await jobs.report(own, task)
    assert (report.outcome, report.reason) == (Outcome.CANCELLED, "task.cancelled")
    await until(lambda: task not in agent.parts.tasks, "the report is stored")
    await home.stop(agent)
    agent = await home.agent()
    await reached(jobs, agent)
    await jobs.run(own, f"touch {passable}/started", task=task)
    assert (await jobs.ack(own, task)).state is TaskState.CANCELLED
    assert not (passable / "started").exists()
    assert len(jobs.reports(own, task)) == 1


async def test_stop_ends_a_running_script(jobs: Dispatcher, home: Home):
    own = await reached(jobs, await home.agent())
    task = await jobs.run(own, "echo begun; sleep 1000")
    await jobs.answered(own, task, TaskState.RUNNING)
    await jobs.cancel(own, task)
    assert (await jobs.ack(own, task, Verb.CANCEL)).state in {TaskState.ACCEPTED, TaskState.RUNNING}
    assert (await jobs.report(own, task)).outcome is Outcome.STOPPED


async def test_a_script_that_takes_too_long_is_ended(jobs: Dispatcher, home: Home):
    own = await reached(jobs, await home.agent())
    task = await jobs.run(own, "sleep 1000", timeout_s=1, kill_grace_s=0)
    assert (await jobs.report(own, task)).outcome is Outcome.TIMED_OUT


async def test_stop_and_start_in_a_race_have_one_end(jobs: Dispatcher, home: Home, passable: Path):
    agent = await home.agent()
    own = await reached(jobs, agent)
    tasks = [new_task() for _ in range(40)]
    await asyncio.gather(
        *(jobs.run(own, f"echo x >> {passable}/{task}; sleep 100", task=task, kill_grace_s=0) for task in tasks),
        *(jobs.cancel(own, task) for task in reversed(tasks)),
    )
    ends = {task: (await jobs.report(own, task)).outcome for task in tasks}
    assert set(ends.values()) <= {Outcome.CANCELLED, Outcome.STOPPED}
    for task, end in ends.items():
        assert len(jobs.reports(own, task)) == 1
        if end is Outcome.CANCELLED:
            assert not (passable / task).exists()
    await until(lambda: not agent.parts.tasks, "all are stored")


async def test_more_scripts_than_may_run_at_once_wait_and_can_be_cancelled(
    jobs: Dispatcher, home: Home, passable: Path
):
    own = await reached(jobs, await home.agent(tasks=1))
    first = await jobs.run(own, f"while ! [ -e {passable}/go ]; do sleep 0.05; done")
    waiting = [await jobs.run(own, "true") for _ in range(2)]
    for task in waiting:
        assert (await jobs.ack(own, task)).state is TaskState.ACCEPTED
    await jobs.cancel(own, waiting[0])
    assert (await jobs.ack(own, waiting[0], Verb.CANCEL)).state is TaskState.ACCEPTED
    (passable / "go").touch()
    assert (await jobs.report(own, first)).outcome is Outcome.SUCCEEDED
    assert (await jobs.report(own, waiting[0])).outcome is Outcome.CANCELLED
    assert (await jobs.report(own, waiting[1])).outcome is Outcome.SUCCEEDED


async def test_a_report_is_freed_by_the_receipt_that_its_grant_promised_and_by_no_other(jobs: Dispatcher, home: Home):
    agent = await home.agent()
    own = await reached(jobs, agent)
    task, other = new_task(), new_task()
    jobs.stores = False
    try:
        await jobs.command(own, Verb.RUN, task, BODY, receipt=sha256(b"sesame"))
        await jobs.command(own, Verb.RUN, other, BODY)
        await jobs.report(own, task)
        await jobs.report(own, other)
        wrong = {task: "barley", other: "", new_task(): "sesame"}
        await raw(jobs, own, {}, msgspec.json.encode(Receipts(receipts=wrong)))
        await until(lambda: agent.parts.kit.counters["receipt_unknown"] == 3, "none of them is believed")
        assert {task, other} <= agent.parts.tasks.keys()
        await raw(jobs, own, {}, msgspec.json.encode(Receipts(receipts={task: "sesame"})))
        await until(lambda: task not in agent.parts.tasks, "the task is freed")
    finally:
        jobs.stores = True
    await jobs.frees(own, other, lambda: other not in agent.parts.tasks)
    await jobs.run(own, "true", task=task)
    await jobs.answered(own, task, TaskState.STORED)


async def test_masked_parameters_reach_the_script_and_nothing_else(jobs: Dispatcher, home: Home):
    agent = await home.agent()
    own = await reached(jobs, agent)
    secret = "s3cret value"
    sealed = seal(msgspec.json.encode({"password": secret}), own.box_key().public_key)
    script = (
        'cat "/proc/self/fd/$DROVER_PARAMS_FD"; echo; env; . "$DROVER_LIB"; '
        """drover_result "{\\"said\\": \\"$(drover_param password)\\"}"; sleep 0.6"""
    )
    body = msgspec.json.encode(msgspec.structs.replace(SCRIPT, script=script, parameters={"user": "joe"}))
    task = new_task()
    jobs.stores = False
    try:
        await jobs.command(own, Verb.RUN, task, body, sealed=sealed)
        report = await jobs.report(own, task)
        assert "user=joe" in report.head
        assert "password=••••••" in report.head
        assert "s3cret" not in report.head
        assert report.result == '{"said": "••••••"}'
        written = files_with(secret, agent)
    finally:
        jobs.stores = True
    assert written == {"output", RESULT_NAME}, "there the script itself has written it"
    await jobs.frees(own, task, lambda: task not in agent.parts.tasks)
    assert files_with(secret, agent) == set()


def files_with(secret: str, agent: Agent) -> set[str]:
    files = [file for file in agent.parts.kit.folder.root.rglob("*") if file.is_file()]
    assert files
    return {file.name for file in files if secret.encode() in file.read_bytes()}
