"""Commands reach hosts, or it is said honestly what became of them."""

from datetime import UTC, datetime

import msgspec
import pytest

from contracts import runs, subjects
from contracts.agents import (
    INLINE_BODY_BYTES,
    PIECE_BYTES,
    Ack,
    AgentCall,
    AskBody,
    BodyPiece,
    Heartbeat,
    Report,
    TaskState,
    Verb,
)
from contracts.errors import NotFound
from contracts.runs import MASK, ListHostResults, OutcomesStored, Parameter
from contracts.states import Outcome, RunState
from tests.hosts import host_connection
from tests.servers import until


async def results(jobs, run):
    found = await jobs.ask(runs.list_host_results, ListHostResults(run=run.id, limit=1000, head_bytes=1000))
    return {each.host: each for each in found.hosts}


async def test_a_host_that_is_away_is_offline_at_once_if_the_run_does_not_wait(jobs):
    await jobs.agent("h-1")
    jobs.known("h-2")
    ended = await jobs.ended(await jobs.start("h-1", "h-2"))

    found = await results(jobs, ended)
    assert ended.state is RunState.FAILED
    assert (found["h-1"].state, found["h-2"].state, found["h-2"].reason) == ("succeeded", "offline", "host.offline")
    assert "Nothing was started" in found["h-2"].message


async def test_a_host_that_comes_back_gets_its_command_at_once(jobs):
    jobs.known("h-1")
    run = await jobs.start("h-1", offline_wait_s=3600)
    await until(lambda: any(each.bus.connection.counters for each in jobs.instances), "sent")
    await jobs.becomes(run, "h-1", "pending")

    agent = await jobs.agent("h-1")

    assert (await jobs.ended(run)).state is RunState.SUCCEEDED
    assert sum(agent.started.values()) == 1


async def test_nobody_speaks_for_a_host_of_another_idc(jobs):
    agent = await jobs.agent("h-1", lose_acks=2, hold=True)
    run = await jobs.start("h-1", offline_wait_s=60)
    task = f"{run.id}-0-1-0"
    liar = host_connection(jobs.nats, jobs.folder, "bj", "h-1")
    liar.start()
    await liar.wait_connected()
    try:
        refusal = Ack(task=task, verb=Verb.RUN, reason="grant.expired", message="not h-1")
        accepted = Ack(task=task, verb=Verb.RUN, state=TaskState.RUNNING)
        for instance in jobs.instances:
            for said in (refusal, accepted):
                await liar.publish(subjects.ack("bj", "h-1", instance.bus.instance), msgspec.json.encode(said))
        beat = Heartbeat(boot_id="b", version="0", open=(task,))
        await liar.publish(subjects.heartbeat("bj", "h-1"), msgspec.json.encode(beat))
        await liar.flush()
        await until(lambda: agent.heard["run"] >= 3, "it is asked until it answers itself")
        agent.finish()
        assert (await jobs.ended(run)).state is RunState.SUCCEEDED
    finally:
        await liar.close()


async def test_a_lost_acknowledgement_costs_a_resend_and_no_second_start(jobs):
    agent = await jobs.agent("h-1", lose_acks=2, hold=True)
    run = await jobs.start("h-1", offline_wait_s=60)
    await jobs.becomes(run, "h-1", "running")
    agent.finish()

    assert (await jobs.ended(run)).state is RunState.SUCCEEDED
    assert sum(agent.started.values()) == 1
    assert agent.heard["run"] >= 3


async def test_results_that_come_twice_are_kept_once_and_answered(jobs):
    agent = await jobs.agent("h-1", duplicate=True, output="x" * 100_000)
    ended = await jobs.ended(await jobs.start("h-1"))

    await until(lambda: agent.heard["stored"] > 0 and not agent.unstored, "the spool is freed")
    assert len(await jobs.documents("outcomes", run=ended.id)) == 1
    assert len(await jobs.documents("output")) == 1
    assert ended.counts.succeeded == 1


async def test_a_refusal_is_told_with_its_reason(jobs):
    agent = await jobs.agent("h-1", refuse="task.spool_full")
    ended = await jobs.ended(await jobs.start("h-1"))

    found = (await results(jobs, ended))["h-1"]
    assert (found.state, found.reason) == ("refused", "task.spool_full")
    assert not agent.started


@pytest.mark.parametrize("jobs", [{"start_margin_s": 1.0}], indirect=True)
async def test_a_report_after_the_verdict_wins_is_marked_late_and_reopens_nothing(jobs):
    agent = await jobs.agent("h-1", mute=True)
    ended = await jobs.ended(await jobs.start("h-1"))
    assert (ended.state, ended.counts.offline) == (RunState.FAILED, 1)
    events = []
    await jobs.gateway.hear(f"evt.jobs.outcomes.{ended.id}", lambda message: _note(events, message))
    await jobs.gateway.connection.flush()

    task = f"{ended.id}-0-1-0"
    await agent.publish(
        task, 0, Report(task=task, outcome=Outcome.SUCCEEDED, ended_at=datetime.now(UTC), head="late\n")
    )

    async def corrected():
        return (await jobs.show(ended)).counts.succeeded == 1

    await until(corrected, "the counts are corrected")
    shown, found = await jobs.show(ended), (await results(jobs, ended))["h-1"]
    assert (shown.state, shown.counts.offline, shown.ended_at) == (RunState.FAILED, 0, ended.ended_at)
    assert (found.state, found.late, found.head) == ("succeeded", True, "late\n")
    assert {each["kind"] for each in await jobs.documents("outcomes", run=ended.id)} == {"report", "verdict"}
    await until(lambda: bool(events), "the outcome is told")
    assert [(each.late, each.outcome) for each in events[0].outcomes] == [(True, Outcome.SUCCEEDED)]


async def _note(events, message):
    events.append(msgspec.json.decode(message.data, type=OutcomesStored))


@pytest.mark.parametrize("jobs", [{"silence_s": 2.0}], indirect=True)
async def test_a_host_that_accepts_and_falls_silent_is_lost(jobs):
    agent = await jobs.agent("h-1", hold=True)
    run = await jobs.start("h-1", timeout_s=1)
    await until(lambda: bool(agent.started), "it has begun, and says so")
    agent.knobs.mute = True

    ended = await jobs.ended(run)
    found = (await results(jobs, ended))["h-1"]
    assert (found.state, found.reason) == ("lost", "task.silent")


async def test_a_large_script_crosses_to_an_idc_once_and_who_missed_it_asks(jobs):
    script = "# " + "x" * (PIECE_BYTES - 100)
    for name, idc, deaf in (("h-1", "js", False), ("h-2", "js", False), ("h-3", "bj", False), ("h-4", "bj", True)):
        jobs.known(name, idc=idc)
        await jobs.agent(name, deaf_to_bodies=deaf)
    await jobs.agent("h-9")
    run = await jobs.start("h-1", "h-2", "h-3", "h-4", script=script)
    ended = await jobs.ended(run)

    assert ended.state is RunState.SUCCEEDED
    task = f"{run.id}-0-1-0"
    pieces = jobs.agents["h-1"].heard["body"]
    assert pieces == -(-(len(script) + 100) // PIECE_BYTES) or pieces == 1
    for name in ("h-1", "h-2", "h-3", "h-4"):
        agent = jobs.agents[name]
        assert agent.scripts[task].script == script
        assert (agent.heard["body"], agent.heard["asked"]) == ((0, 1) if name == "h-4" else (pieces, 0))
    outsider = jobs.agents["h-9"]
    digest = next(iter(jobs.agents["h-1"]._bodies))
    with pytest.raises(NotFound):
        await outsider._bus.ask_services(
            "js", "h-9", AgentCall.BODY, AskBody(task=task, sha256=digest, piece=0), BodyPiece
        )
    for wrong in (
        AskBody(task=task, sha256="0" * 64, piece=0),
        AskBody(task=task, sha256=digest, piece=99),
        AskBody(task=task, sha256=digest, piece=-1),
        AskBody(task="$x", sha256=digest, piece=0),
    ):
        with pytest.raises(NotFound):
            await jobs.agents["h-1"]._bus.ask_services("js", "h-1", AgentCall.BODY, wrong, BodyPiece)


async def test_a_body_in_two_pieces_arrives_whole(jobs):
    agent = await jobs.agent("h-1")
    script = '"' * (PIECE_BYTES // 2 + 100)
    run = await jobs.start("h-1", script=script)

    assert (await jobs.ended(run)).state is RunState.SUCCEEDED
    assert agent.heard["body"] == 2
    assert agent.scripts[f"{run.id}-0-1-0"].script == script
    assert len(script) > INLINE_BODY_BYTES


async def test_masked_values_reach_the_host_sealed_and_nothing_else(jobs):
    heard = []

    async def note(message):
        heard.append(message.data)

    await jobs.gateway.hear("evt.jobs.>", note)
    await jobs.gateway.connection.flush()
    agent = await jobs.agent("h-1")
    secret = "hunter2-of-this-test"
    parameters = (Parameter(name="PASSWORD", value=secret, masked=True), Parameter(name="USER", value="ann"))
    run = await jobs.start("h-1", parameters=parameters, idempotency_key="k")
    ended = await jobs.ended(run)

    task = f"{run.id}-0-1-0"
    assert agent.secrets[task] == {"PASSWORD": secret}
    assert agent.scripts[task].parameters == {"USER": "ann"}
    assert [(each.name, each.value) for each in ended.parameters] == [("PASSWORD", MASK), ("USER", "ann")]
    for collection in await jobs.database.list_collection_names():
        assert secret not in repr(await jobs.documents(collection)), collection
    assert heard
    assert not [data for data in heard if secret.encode() in data]


async def test_a_host_that_was_imported_and_never_enrolled_is_offline_after_its_wait(jobs):
    """With masked values too, for which there is no key to seal them to."""
    await jobs.agent("h-1")
    jobs.known("h-2")
    jobs.hosts["h-2"] = msgspec.structs.replace(jobs.hosts["h-2"], box_key="", online=False)
    for parameters in ((), (Parameter(name="P", value="x", masked=True),)):
        for wait in (0, 1):
            run = await jobs.start("h-1", "h-2", parameters=parameters, offline_wait_s=wait)
            found = await results(jobs, await jobs.ended(run))
            assert (found["h-1"].state, found["h-2"].state, found["h-2"].reason) == (
                "succeeded",
                "offline",
                "host.offline",
            )
            assert "Nothing was started" in found["h-2"].message


async def test_masked_values_for_a_host_without_a_key_are_refused_and_the_others_run(jobs):
    await jobs.agent("h-1")
    await jobs.agent("h-2")
    jobs.hosts["h-2"] = msgspec.structs.replace(jobs.hosts["h-2"], box_key="bm8=")
    ended = await jobs.ended(await jobs.start("h-1", "h-2", parameters=(Parameter(name="P", value="x", masked=True),)))

    found = await results(jobs, ended)
    assert (found["h-1"].state, found["h-2"].state, found["h-2"].reason) == ("succeeded", "refused", "grant.unsealable")


async def test_a_run_on_more_hosts_than_one_page_of_targets(jobs):
    jobs.known(*(f"h-{n:05d}" for n in range(1200)))
    told = []
    await jobs.gateway.hear("evt.jobs.outcomes.*", lambda message: _note(told, message))
    await jobs.gateway.connection.flush()

    run = await jobs.start()
    ended = await jobs.ended(run)

    assert (ended.hosts, ended.counts.offline) == (1200, 1200)
    await until(lambda: sum(len(each.outcomes) for each in told) == 1200, "all are told")
    assert max(len(each.outcomes) for each in told) <= 500
