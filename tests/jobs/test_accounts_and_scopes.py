"""As whom a run runs, and who may see it, stop it and try it again."""

import pytest

from contracts import runs
from contracts.errors import Conflict, Forbidden, Invalid, NotFound
from contracts.hosts import Targets
from contracts.people import Principal
from contracts.permissions import Grant, Role, Scope
from contracts.runs import ListHostResults, ListRuns, ReadOutput, RetryRun, RunRef, SearchOutput, StartRun, StopRun
from tests.jobs.rig import OPERATOR

BOB = Principal(kind="person", name="bob", roles=(Role.OPERATOR,), via="session")


def scoped(name="sam", **scope):
    grant = Grant(permissions=("runs:read", "runs:start", "runs:stop"), scope=Scope(**scope))
    return Principal(kind="person", name=name, grants=(grant,), via="session")


SHOP = scoped(businesses=("shop", "pay"))


async def refused(work, kind, reason):
    with pytest.raises(kind) as refusal:
        await work
    assert refusal.value.reason == reason
    return refusal.value


async def test_an_alias_becomes_the_os_user_of_the_command_and_both_are_kept(jobs):
    jobs.accounts["db"] = "postgres"
    agent = await jobs.agent("h-1")
    run = await jobs.ended(await jobs.start("h-1", account="db"))
    assert (run.account, run.account_alias) == ("postgres", "db")
    assert [order.account for order in agent.scripts.values()] == ["postgres"]
    run = await jobs.ended(await jobs.start("h-1"))
    assert (run.account, run.account_alias) == (None, "agent")
    assert [order.account for order in agent.scripts.values()] == ["postgres", None]


async def test_config_is_asked_in_the_name_of_whoever_starts(jobs):
    jobs.known("h-1")
    jobs.refused.add(("db", "ann"))
    await refused(jobs.start("h-1", account="db"), Forbidden, "account.not_granted")
    assert jobs.heard[-1].principal == OPERATOR
    assert not await jobs.documents("runs")
    assert (await jobs.start("h-1", account="db", by=BOB)).account == "db"


async def test_the_groups_of_the_hosts_are_told_when_they_decide(jobs):
    names = [f"h-{n}" for n in range(7)]
    jobs.known(*names)
    jobs.groups = dict.fromkeys(names, "web")
    run = await jobs.start(*names)
    assert (run.account_alias, jobs.heard[-1].groups) == ("web", (("web",),))
    jobs.groups = {"h-0": "web"}
    await jobs.start("h-0", "h-1")
    assert jobs.heard[-1].groups == ((), ("web",))


async def test_a_retry_asks_again_in_the_name_of_whoever_retries(jobs):
    jobs.known("h-1")
    run = await jobs.ended(await jobs.start("h-1", account="db"))
    jobs.refused.add(("db", "bob"))
    await refused(jobs.ask(runs.retry, RetryRun(run=run.id), by=BOB), Forbidden, "account.not_granted")
    assert jobs.heard[-1].principal == BOB
    jobs.accounts["db"] = "root"
    await refused(jobs.ask(runs.retry, RetryRun(run=run.id)), Conflict, "account.moved")
    jobs.accounts["db"] = "db"
    assert (await jobs.ask(runs.retry, RetryRun(run=run.id))).tries == 2


async def test_a_run_of_before_there_were_aliases_is_tried_again_as_the_agent(jobs):
    jobs.known("h-1")
    run = await jobs.ended(await jobs.start("h-1"))
    await jobs.database["runs"].update_one({"_id": run.id}, {"$unset": {"account_alias": 1, "businesses": 1}})
    await refused(jobs.ask(runs.show, RunRef(run=run.id), by=SHOP), NotFound, "run.unknown")
    assert (await jobs.ask(runs.retry, RetryRun(run=run.id))).tries == 2
    assert jobs.heard[-1].account == "agent"


# who sees it


def everything_about(run):
    return [
        (runs.show, RunRef(run=run)),
        (runs.list_host_results, ListHostResults(run=run)),
        (runs.read_output, ReadOutput(run=run, host="h-1")),
        (runs.search_output, SearchOutput(run=run, text="x")),
        (runs.stop, StopRun(run=run)),
        (runs.retry, RetryRun(run=run)),
    ]


async def test_a_foreign_run_is_not_there(jobs):
    jobs.known("h-1", business="bank")
    run = await jobs.start("h-1", offline_wait_s=3600)
    for call, request in everything_about(run.id):
        foreign = await refused(jobs.ask(call, request, by=SHOP), NotFound, "run.unknown")
        nowhere = type(request)(**{**{f: getattr(request, f) for f in request.__struct_fields__}, "run": "nowhere"})
        unknown = await refused(jobs.ask(call, nowhere, by=SHOP), NotFound, "run.unknown")
        assert foreign.message == unknown.message.replace("nowhere", run.id), call.subject
    assert (await jobs.ask(runs.list_runs, ListRuns(), by=SHOP)).runs == []
    assert (await jobs.show(run)).state in {"pending", "running"}


async def test_a_run_within_the_businesses_of_a_scope_is_seen_and_stopped(jobs):
    jobs.known("h-1", business="shop")
    jobs.known("h-2", business="pay")
    jobs.known("h-3", business="bank")
    mine = await jobs.start("h-1", "h-2", offline_wait_s=3600)
    mixed = await jobs.start("h-1", "h-3")
    assert (mine.businesses, mixed.businesses) == (("pay", "shop"), ("bank", "shop"))
    assert [run.id for run in (await jobs.ask(runs.list_runs, ListRuns(), by=SHOP)).runs] == [mine.id]
    assert (await jobs.ask(runs.show, RunRef(run=mine.id), by=SHOP)).id == mine.id
    await refused(jobs.ask(runs.show, RunRef(run=mixed.id), by=SHOP), NotFound, "run.unknown")
    for bounds in ({"groups": ("g",)}, {"accounts": ("agent",)}, {"script_tags": ("t",)}):
        narrow = scoped(businesses=("shop", "pay"), **bounds)
        await refused(jobs.ask(runs.show, RunRef(run=mine.id), by=narrow), NotFound, "run.unknown")
    assert (await jobs.ask(runs.stop, StopRun(run=mine.id), by=SHOP)).state == "stopping"


async def test_own_runs_are_seen_whatever_their_hosts(jobs):
    jobs.known("h-1", business="shop")
    run = await jobs.start("h-1", by=SHOP)
    moved = scoped(businesses=("other",))
    by = (await jobs.ask(runs.show, RunRef(run=run.id), by=moved)).by
    assert (by.name, by.grants) == ("sam", ())
    program = Principal(kind="person", name="sam2", grants=moved.grants)
    await refused(jobs.ask(runs.show, RunRef(run=run.id), by=program), NotFound, "run.unknown")


async def test_a_scope_starts_on_hosts_of_its_businesses_only(jobs):
    jobs.known("h-1", business="shop")
    jobs.known("h-2", business="bank")
    assert (await jobs.start("h-1", by=SHOP)).businesses == ("shop",)
    await refused(jobs.start("h-1", "h-2", by=SHOP), Invalid, "targets.unknown")
    assert (await jobs.ask(runs.start, StartRun(script="echo hi", targets=Targets(all=True)), by=SHOP)).hosts == 1
    await refused(jobs.start("h-1", by=scoped(script_tags=("web",))), Forbidden, "run.script_not_stored")


async def test_an_own_run_is_not_tried_again_on_hosts_that_left_the_scope(jobs):
    jobs.known("h-1", business="shop")
    run = await jobs.ended(await jobs.start("h-1", by=SHOP))
    moved = scoped(businesses=("other",))
    await refused(jobs.ask(runs.retry, RetryRun(run=run.id), by=moved), Invalid, "targets.unknown")
    assert (await jobs.ask(runs.retry, RetryRun(run=run.id), by=SHOP)).tries == 2


async def test_account_and_hosts_lie_in_one_scope_together(jobs):
    jobs.known("h-1", business="shop")
    jobs.known("h-2", business="bank")
    grants = tuple(
        Grant(permissions=("runs:start",), scope=Scope(businesses=(business,), accounts=(account,)))
        for business, account in (("shop", "web"), ("bank", "db"))
    )
    both = Principal(kind="person", name="sam", grants=grants)
    assert (await jobs.start("h-1", by=both, account="web")).account == "web"
    await refused(jobs.start("h-2", by=both, account="web"), Invalid, "targets.unknown")
    jobs.groups = {"h-1": "db", "h-2": "db"}
    assert (await jobs.start("h-2", by=both)).account == "db"
    await refused(jobs.start("h-1", by=both), Invalid, "targets.unknown")


async def test_pages_of_somebody_who_sees_little_lead_to_the_end(jobs):
    jobs.known("h-1", business="bank")
    jobs.known("h-2", business="shop")
    mine = [(await jobs.start("h-2")).id]
    for _ in range(25):
        await jobs.start("h-1")
    mine.insert(0, (await jobs.start("h-2")).id)
    found, after = [], ""
    while True:
        page = await jobs.ask(runs.list_runs, ListRuns(after=after, limit=1), by=SHOP)
        found += [run.id for run in page.runs]
        after = page.next
        if not after:
            break
    assert found == mine
