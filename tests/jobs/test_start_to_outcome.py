"""A run from its start to the outcomes in MongoDB."""

from contracts import runs
from contracts.runs import ListHostResults, ReadOutput
from contracts.states import RunState
from tests.servers import until


async def test_a_script_runs_once_on_every_host_and_everything_is_kept(jobs):
    names = [f"h-{n}" for n in range(6)]
    for n, name in enumerate(names):
        jobs.known(name, idc="js" if n % 2 else "bj")
        await jobs.agent(name, exit_code=3 if n == 0 else 0)
    run = await jobs.start(*names, name="first", args=("a",), env={"X": "1"})
    assert run.state is RunState.PENDING
    assert run.counts.pending == 6

    ended = await jobs.ended(run)

    assert ended.state is RunState.FAILED
    assert (ended.counts.succeeded, ended.counts.failed) == (5, 1)
    assert all(sum(agent.started.values()) == 1 for agent in jobs.agents.values())
    results = await jobs.ask(runs.list_host_results, ListHostResults(run=run.id, head_bytes=100))
    assert [(each.host, each.state, each.head) for each in results.hosts] == [
        (name, "failed" if name == "h-0" else "succeeded", "hi\n") for name in names
    ]
    output = await jobs.ask(runs.read_output, ReadOutput(run=run.id, host="h-1"))
    assert (output.text, output.complete) == ("hi\n", True)
    outcomes = await jobs.documents("outcomes")
    assert {each["_id"] for each in outcomes} == {f"{run.id}-0-1-0:{name}:report" for name in names}
    await until(lambda: not any(agent.unstored for agent in jobs.agents.values()), "spools are freed")
