"""Variables reach scripts as data: sealed for each host, as they were when the wave was made."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from contracts import runs
from contracts.errors import Conflict, Invalid, Unavailable
from contracts.runs import ListHostResults, Parameter, RetryRun, StopRun
from contracts.states import RunState
from contracts.variables import HostValues
from services.jobs.dispatch import preparation
from services.jobs.runs.variables import LOOKED_AT, document
from tests.jobs.rig import OPERATOR, rig
from tests.servers import READY_S, until

SCRIPT = '. "$DROVER_LIB"; drover_var region.id'


async def refused(work, reason):
    with pytest.raises(Invalid) as refusal:
        await work
    assert refusal.value.reason == reason
    return refusal.value


async def sending(jobs, run):
    async def begun():
        return (await jobs.show(run)).state is not RunState.PENDING

    await until(begun, "commands are sent")


async def test_each_host_gets_its_own_and_secret_texts_are_told_to_be_masked(jobs):
    agents = {name: await jobs.agent(name) for name in ("h-1", "h-2")}
    for name in agents:
        jobs.variables[name] = HostValues(host=name, flat={"region.id": name, "db": "s3cret"}, secrets=("s3cret",))
    masked = Parameter(name="p", value="hidden", masked=True)
    run = await jobs.ended(await jobs.start("h-1", "h-2", script=SCRIPT, parameters=(masked,)))
    assert (run.needs_variables, run.counts.succeeded) == (True, 2)
    for name, agent in agents.items():
        [sealed] = agent.secrets.values()
        assert sealed == {"p": "hidden", "@region.id": name, "@db": "s3cret", "!0": "s3cret"}
    for collection in ("runs", "waves", "host_values"):
        assert "s3cret" not in str(await jobs.documents(collection))


async def test_a_script_that_asks_for_none_is_sent_none(jobs):
    agent = await jobs.agent("h-1")
    jobs.variables["h-1"] = HostValues(host="h-1", flat={"a": "1"})
    run = await jobs.ended(await jobs.start("h-1"))
    assert (run.needs_variables, agent.secrets, jobs.tasks) == (False, {}, [])
    await jobs.ended(await jobs.start("h-1", needs_variables=True))
    assert list(agent.secrets.values()) == [{"@a": "1"}]


async def test_what_the_run_brings_is_asked_of_config_as_a_document_and_shown(jobs):
    await jobs.agent("h-1")
    brought = {"region": {"id": 5, "name": "\u2028\x85 ä"}}
    run = await jobs.ended(await jobs.start("h-1", variables=brought))
    assert (run.needs_variables, run.variables) == (True, brought)
    assert set(jobs.tasks) == {'{"region":{"id":5,"name":"\\u2028\\u0085 ä"}}'}


async def test_a_retry_reads_what_holds_then(jobs):
    jobs.known("h-1")
    jobs.variables["h-1"] = HostValues(host="h-1", flat={"a": "before"})
    run = await jobs.ended(await jobs.start("h-1", needs_variables=True))
    jobs.variables["h-1"] = HostValues(host="h-1", flat={"a": "after"})
    agent = await jobs.agent("h-1")
    await jobs.ask(runs.retry, RetryRun(run=run.id))
    await jobs.ended(run)
    assert list(agent.secrets.values()) == [{"@a": "after"}]


async def test_of_two_who_retry_at_once_one_does_and_the_other_is_told(jobs):
    jobs.known("h-1")
    run = await jobs.ended(await jobs.start("h-1", needs_variables=True))
    retries = [jobs.ask(runs.retry, RetryRun(run=run.id)) for _ in range(2)]
    one, other = sorted(
        await asyncio.gather(*retries, return_exceptions=True), key=lambda each: isinstance(each, Conflict)
    )
    assert (one.tries, other.reason in {"run.changed_meanwhile", "run.wrong_state"}) == (2, True)


async def test_another_instance_that_takes_the_run_sends_the_same(jobs):
    jobs.known("h-1")
    jobs.variables["h-1"] = HostValues(host="h-1", flat={"a": "first"})
    run = await jobs.start("h-1", needs_variables=True, offline_wait_s=3600)
    await sending(jobs, run)
    jobs.variables["h-1"] = HostValues(host="h-1", flat={"a": "second"})
    [document] = await jobs.documents("runs", _id=run.id)
    [holder] = [each for each in jobs.instances if each.bus.instance == document["owner"]]
    await holder.end()
    agent = await jobs.agent("h-1")
    await jobs.ended(run)
    assert list(agent.secrets.values()) == [{"@a": "first"}]


async def test_many_hosts_are_asked_and_read_in_pages(jobs):
    names = [f"h-{n:04}" for n in range(250)]
    jobs.known(*names)
    for name in names:
        jobs.variables[name] = HostValues(host=name, flat={"id": name})
    agent = await jobs.agent("h-0249")
    await jobs.ended(await jobs.start(*names, needs_variables=True))
    assert list(agent.secrets.values()) == [{"@id": "h-0249"}]
    assert len(await jobs.documents("host_values")) == 250


class Gate:
    """Config answers about the first hosts, and about all others once it is open."""

    def __init__(self, free):
        self._free, self._open, self.asked = set(free), asyncio.Event(), asyncio.Event()
        self.moments = set()

    async def __call__(self, request):
        self.moments.add(request.at)
        if not self._free.issuperset(request.hosts):
            self.asked.set()
            await self._open.wait()

    def open(self):
        self._open.set()


def many(jobs):
    """More hosts than are looked at when a run is started, and more than are collected in one step."""
    names = [f"h-{n:04}" for n in range(preparation.PAGE + 3)]
    jobs.known(*names)
    for name in names:
        jobs.variables[name] = HostValues(host=name, flat={"id": name})
    return names


async def test_a_run_is_pending_until_all_values_are_there_and_its_hosts_may_be_away_from_then_on(jobs):
    names = many(jobs)
    gate = jobs.resolving = Gate(names[: preparation.PAGE])
    agents = [await jobs.agent(name) for name in (names[0], names[-1])]
    run = await jobs.start(*names, needs_variables=True, offline_wait_s=4)
    await gate.asked.wait()
    shown = await jobs.show(run)
    assert (shown.state, shown.started_at, shown.counts.pending) == (RunState.PENDING, None, len(names))
    assert not any(agent.started for agent in agents)
    assert gate.moments == {None, shown.variables_at}, "the first asks, everything else names that moment"
    await until(lambda: datetime.now(UTC) > shown.created_at + timedelta(seconds=4), "hosts may not be away any more")
    gate.open()
    ended = await jobs.ended(run)
    assert (ended.counts.succeeded, ended.counts.offline) == (2, len(names) - 2)
    assert [list(agent.secrets.values()) for agent in agents] == [[{"@id": names[0]}], [{"@id": names[-1]}]]
    [document] = await jobs.documents("runs", _id=run.id)
    assert document["sending_at"] > document["created_at"]


async def test_a_killed_instance_loses_a_run_that_it_prepares_to_another_which_goes_on(nats, mongo, database, tmp_path):
    async with rig(nats, mongo.url, database, tmp_path, instances=0) as jobs:
        names = many(jobs)
        gate = jobs.resolving = Gate(names[: preparation.PAGE])
        agents = {name: await jobs.agent(name) for name in (names[0], names[-1])}
        async with jobs.process() as (process, _):
            run = await jobs.start(*names, needs_variables=True)
            await gate.asked.wait()

            async def half():
                return len(await jobs.documents("host_values")) == preparation.PAGE

            await until(half, "the first values are there")
            process.send_signal(signal.SIGKILL)
            await process.wait()
        for name in names:
            jobs.variables[name] = HostValues(host=name, flat={"id": f"{name} anew"})
        gate.open()
        await jobs.instance()
        ended = await jobs.ended(run)
    assert (ended.counts.succeeded, ended.counts.offline) == (2, len(names) - 2)
    assert {name: list(agent.secrets.values()) for name, agent in agents.items()} == {
        names[0]: [{"@id": names[0]}],
        names[-1]: [{"@id": f"{names[-1]} anew"}],
    }, "what was collected stays, and only the rest is asked for"
    assert all(sum(agent.started.values()) == 1 for agent in agents.values())


async def test_what_shows_only_while_values_are_collected_fails_the_run_and_nothing_starts(jobs):
    names = many(jobs)
    large = jobs.variables[names[-1]]
    jobs.variables[names[-1]] = HostValues(host=names[-1], flat={"a": "x" * 16_000})
    agents = [await jobs.agent(name) for name in (names[0], names[-1])]
    run = await jobs.ended(await jobs.start(*names, needs_variables=True))
    assert (run.state, run.counts.refused, run.refusal.reason) == (
        RunState.FAILED, len(names), "run.variables_too_large",
    )  # fmt: skip
    assert names[-1] in run.refusal.message
    [first] = (await jobs.ask(runs.list_host_results, ListHostResults(run=run.id, limit=1))).hosts
    assert (first.state, first.reason, first.message) == ("refused", run.refusal.reason, run.refusal.message)
    assert not any(agent.started for agent in agents)
    jobs.variables[names[-1]] = large
    await jobs.ask(runs.retry, RetryRun(run=run.id))
    again = await jobs.ended(run)
    assert (again.refusal, again.counts.succeeded) == (None, 2)


async def test_a_run_that_is_stopped_while_values_are_collected_starts_nothing(jobs):
    names = many(jobs)
    gate = jobs.resolving = Gate(names[: preparation.PAGE])
    agent = await jobs.agent(names[0])
    run = await jobs.start(*names, needs_variables=True)
    await gate.asked.wait()
    assert (await jobs.ask(runs.stop, StopRun(run=run.id))).state is RunState.STOPPING
    gate.open()
    ended = await jobs.ended(run)
    assert (ended.state, ended.counts.cancelled) == (RunState.STOPPED, len(names))
    assert not agent.started


async def test_a_run_is_stopped_while_config_does_not_answer(jobs, monkeypatch):
    monkeypatch.setattr("services.jobs.runs.variables.PAGE_S", 10 * READY_S)
    names = many(jobs)
    gate = jobs.resolving = Gate(names[: preparation.PAGE])
    agent = await jobs.agent(names[0])
    run = await jobs.start(*names, needs_variables=True)
    await gate.asked.wait()
    await jobs.ask(runs.stop, StopRun(run=run.id))
    # Long before config would have to have answered.
    ended = await jobs.ended(run)
    gate.open()
    assert (ended.state, ended.counts.cancelled) == (RunState.STOPPED, len(names))
    assert not agent.started


async def test_a_config_service_that_is_away_meanwhile_holds_the_run_up_and_spoils_nothing(jobs):
    jobs.known("h-1")
    agent, left = await jobs.agent("h-1"), [Unavailable("bus.no_answer", "Nobody.")]

    async def away(request):
        if request.at is not None and left:
            raise left.pop()

    jobs.resolving = away
    ended = await jobs.ended(await jobs.start("h-1", needs_variables=True))
    assert (ended.counts.succeeded, left) == (1, [])
    assert len(agent.started) == 1


async def test_mistakes_that_the_first_hosts_show_are_refused_at_the_start(jobs):
    names = many(jobs)
    jobs.variables[names[LOOKED_AT - 1]] = HostValues(host=names[LOOKED_AT - 1], flat={"a": "x" * 16_000})
    await refused(jobs.start(*names, needs_variables=True), "run.variables_too_large")

    async def says_no(_):
        raise Invalid("variables.secret_bared", "It is a secret.")

    jobs.resolving = says_no
    await refused(jobs.start(*names, variables={"a": 1}), "variables.secret_bared")
    assert not await jobs.documents("runs")


async def test_variables_that_are_too_large_are_refused_and_nothing_starts(jobs):
    jobs.known("h-1")
    jobs.variables["h-1"] = HostValues(host="h-1", flat={"a": "x" * 16_000})
    told = await refused(jobs.start("h-1", needs_variables=True), "run.variables_too_large")
    assert "h-1" in told.message
    await refused(jobs.start("h-1", variables={"a": "x" * 17_000}), "run.variables_too_large")
    assert not await jobs.documents("runs")


@pytest.mark.parametrize(
    ("script", "asks"),
    [
        ("drover_var x", True), ("import drover\ndrover.var('x')", True), ("from drover import log, var", True),
        ("my_drover_variable=1", False), ("drover_param var", False), ("drover.variable", False),
    ],
)  # fmt: skip
async def test_a_script_asks_by_naming_the_function(jobs, script, asks):
    jobs.known("h-1")
    assert (await jobs.start("h-1", script=script, by=OPERATOR)).needs_variables is asks


@pytest.mark.parametrize(
    ("script", "sent"),
    [
        ("drover_var global.file_ulimit", True), ("drover_var $key # of global.*", True), ("./reads.sh", True),
        ("drover_var region.id", False), ("import drover; drover.var('globally')", False),
    ],
)  # fmt: skip
async def test_what_all_hosts_share_is_sent_to_scripts_that_may_read_it(jobs, script, sent):
    asked = []

    async def resolving(request):
        asked.append(request.with_global)

    jobs.resolving = resolving
    jobs.known("h-1")
    await jobs.ended(await jobs.start("h-1", script=script, needs_variables=True))
    assert set(asked) == {sent}


def test_the_document_is_json_that_yaml_reads_the_same():
    from services.config.variables.document import parse

    value = {"t": '\x7f\x85\u2028\u2029\ufeff\U0001f600\n\t"\\ # : - {}[]', "n": [1, 1.5, None, True, {}], "yes": "no"}
    assert parse(document(value)).values == value
    assert msgspec.json.decode(document(value)) == value
