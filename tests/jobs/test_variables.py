"""Variables reach scripts as data: sealed for each host, as they were when the wave was made."""

import asyncio

import msgspec
import pytest

from contracts import runs
from contracts.errors import Conflict, Invalid
from contracts.runs import Parameter, RetryRun
from contracts.variables import HostValues
from services.jobs.runs.variables import document
from tests.jobs.rig import OPERATOR

SCRIPT = '. "$DROVER_LIB"; drover_var region.id'


async def refused(work, reason):
    with pytest.raises(Invalid) as refusal:
        await work
    assert refusal.value.reason == reason
    return refusal.value


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
    assert jobs.tasks == ['{"region":{"id":5,"name":"\\u2028\\u0085 ä"}}']


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


def test_the_document_is_json_that_yaml_reads_the_same():
    from services.config.variables.document import parse

    value = {"t": '\x7f\x85\u2028\u2029\ufeff\U0001f600\n\t"\\ # : - {}[]', "n": [1, 1.5, None, True, {}], "yes": "no"}
    assert parse(document(value)).values == value
    assert msgspec.json.decode(document(value)) == value
