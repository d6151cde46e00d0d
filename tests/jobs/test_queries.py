"""Every query that the service sends to MongoDB goes by an index. The server itself is asked, in its profile."""

from contracts import runs
from contracts.runs import ListHostResults, ListRuns, ReadOutput, RetryRun, RunRef, SearchOutput, StopRun
from contracts.states import LIVE_RUN, Outcome
from tests.servers import until

WITHOUT_INDEX = {"COLLSCAN"}


async def everything(jobs):
    """Use all there is, so that every query happens."""
    await jobs.agent("h-1", output="x" * 200_000)
    bad = await jobs.agent("h-2", exit_code=1)
    await jobs.agent("h-4", hold=True)
    jobs.known("h-3")
    run = await jobs.ended(await jobs.start("h-1", "h-2", "h-3", idempotency_key="k"))
    await jobs.start("h-1", "h-2", "h-3", idempotency_key="k")
    bad.knobs.exit_code = 0
    await jobs.ask(runs.retry, RetryRun(run=run.id))
    await jobs.ended(run)
    waiting = await jobs.start("h-4", "h-3", offline_wait_s=600)
    await jobs.becomes(waiting, "h-4", "running")
    for request in (
        ListRuns(),
        ListRuns(by="ann"),
        ListRuns(states=tuple(LIVE_RUN)),
        ListRuns(after=run.id, by="ann", states=tuple(LIVE_RUN)),
    ):
        await jobs.ask(runs.list_runs, request)
    for each in (run, waiting):
        await jobs.ask(runs.show, RunRef(run=each.id))
        await jobs.ask(runs.list_host_results, ListHostResults(run=each.id, head_bytes=10))
        await jobs.ask(runs.list_host_results, ListHostResults(run=each.id, outcomes=(Outcome.FAILED,)))
        await jobs.ask(runs.read_output, ReadOutput(run=each.id, host="h-3"))
        await jobs.ask(runs.search_output, SearchOutput(run=each.id, text="needle"))
    await jobs.ask(runs.read_output, ReadOutput(run=run.id, host="h-1", offset=100_000))
    await jobs.ask(runs.stop, StopRun(run=waiting.id))
    await jobs.ended(waiting)


async def test_every_query_goes_by_an_index(jobs):
    await jobs.database.command("profile", 2)
    await everything(jobs)

    async def leases_were_read():
        return await jobs.database["system.profile"].count_documents({"ns": {"$regex": "leases$"}, "op": "query"}) > 0

    await until(leases_were_read, "the lease keeper has looked")
    await jobs.database.command("profile", 0)
    profile = [
        each
        async for each in jobs.database["system.profile"].find(
            {"op": {"$in": ["query", "update", "command", "remove", "getmore"]}}
        )
    ]
    seen = [each for each in profile if "planSummary" in each and not each["ns"].endswith(("system.profile", "$cmd"))]

    assert {each["ns"].rpartition(".")[2] for each in seen} >= {"runs", "waves", "outcomes", "output", "leases"}
    slow = [
        (each["ns"], each["planSummary"], each.get("command"))
        for each in seen
        if any(bad in each["planSummary"] for bad in WITHOUT_INDEX)
    ]
    assert not slow
    skipping = [each["command"] for each in seen if each.get("command", {}).get("skip")]
    assert not skipping


async def test_what_is_asked_of_large_runs_is_read_from_the_index_alone(jobs):
    tasks = {"task": {"$in": ["a", "b"]}}
    for query, projection in (
        ({"task": "a"}, {"_id": 0, "outcome": 1, "host": 1, "kind": 1, "task": 1}),
        (tasks, {"_id": 0, "outcome": 1, "host": 1, "kind": 1, "task": 1}),
    ):
        plan = await jobs.database["outcomes"].find(query, projection).explain()
        assert "FETCH" not in str(plan["queryPlanner"]["winningPlan"])
        assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"])
    last = (
        await jobs.database["output"].find({"task": "a", "host": "b"}, {"_id": 0, "end": 1}).sort("end", -1).explain()
    )
    assert "FETCH" not in str(last["queryPlanner"]["winningPlan"])
