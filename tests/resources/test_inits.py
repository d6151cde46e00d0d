"""Hosts that are being deployed move on when the run that prepares them succeeds."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from contracts import inits
from contracts.edits import ListHistory, host_history
from contracts.errors import Conflict, Forbidden, Invalid, NotFound
from contracts.hosts import ChangeHost, HostState, change_host
from contracts.inits import AfterInit, ListInits
from contracts.people import Principal
from contracts.permissions import Grant, Scope
from contracts.states import Outcome
from services.resources.app import Stores
from services.resources.groups.reader import GroupReader
from services.resources.inits.service import InitService
from tests.resources.people import ADMIN, OPERATOR, VIEWER
from tests.resources.preparing import ended, init, jobs_of, moved, moves, tried_again
from tests.servers import until


async def test_hosts_move_on_as_the_run_succeeds_on_them(ask, nats):
    made = sorted([await ask.host(state=HostState.DEPLOYING) for _ in range(4)])
    other = await ask.host(state=HostState.STANDBY)
    async with jobs_of(nats) as jobs:
        jobs.states = {**dict.fromkeys(made, "running"), other: Outcome.SUCCEEDED}
        followed = await init(ask)
        assert (followed.hosts, followed.succeeded, followed.ended) == (4, 0, False)
        assert (await init(ask)).hosts == 4, "asked twice"
        await ask(change_host, ChangeHost(host=made[3], state=HostState.FAULTY))
        await jobs.becomes(**{made[0]: Outcome.SUCCEEDED, made[1]: Outcome.FAILED, made[3]: Outcome.SUCCEEDED})
        await until(lambda: moved(ask, made[0]), "the first has moved on")
        assert (await ask.show(made[2])).state == HostState.DEPLOYING
        await jobs.becomes(**{made[2]: Outcome.SUCCEEDED}, ended=True)
        await ended(ask)
    states = [(await ask.show(host)).state for host in [*made, other]]
    assert states == ["in_service", "deploying", "in_service", "faulty", "standby"]
    [found] = (await ask(inits.list_inits, ListInits(), OPERATOR)).inits
    assert (found.succeeded, found.by) == (3, "olga")
    event = (await ask(host_history, ListHistory(host=made[0]))).events[0]
    assert (event.origin.kind, event.origin.name, event.by) == ("drover", "run r1", "olga")
    [note, *_] = (await ask(host_history, ListHistory(host=made[1]))).events
    assert (note.changes, note.note, note.by) == ([], "stays in deploying: failed, exit status 3", "olga")


async def test_outcomes_that_came_while_nobody_looked_count_and_are_noted_once(ask, nats):
    good, bad = sorted([await ask.host(state=HostState.DEPLOYING) for _ in range(2)])
    async with jobs_of(nats) as jobs:
        jobs.states = {good: "running", bad: "running"}
        await init(ask, then=AfterInit.STANDBY)
    async with jobs_of(nats) as jobs:
        await jobs.becomes(**{good: Outcome.SUCCEEDED, bad: Outcome.FAILED}, ended=True)
        await ended(ask)
        again = await init(ask)
        assert (again.hosts, again.then) == (1, "in_service"), "what is left may move elsewhere"
        await jobs.becomes(ended=True)
        await ended(ask)
    assert [(await ask.show(host)).state for host in (good, bad)] == ["standby", "deploying"]
    events = (await ask(host_history, ListHistory(host=bad))).events
    assert sum(bool(each.note) for each in events) == 1


async def test_a_run_that_is_tried_again_is_followed_again_by_itself(ask, nats):
    good, bad = sorted([await ask.host(state=HostState.DEPLOYING) for _ in range(2)])
    async with jobs_of(nats) as jobs:
        await tried_again(ask, jobs, good, bad, told=True)


async def test_instances_that_look_at_once_move_each_host_once_and_tell_of_it_once(ask, nats, told):
    made = sorted([await ask.host(state=HostState.DEPLOYING) for _ in range(30)])
    good, bad = made[::2], made[1::2]
    async with jobs_of(nats) as jobs:
        jobs.states = dict.fromkeys(made, "running")
        await init(ask)
        await jobs.becomes(**dict.fromkeys(good, Outcome.SUCCEEDED), **dict.fromkeys(bad, Outcome.FAILED), ended=True)
        stores = Stores(ask.database, window_s=60, idcs=("js",))
        groups = GroupReader(stores.groups, stores.members, window_s=60)
        services = [
            InitService(stores.inits, stores.hosts, groups, stores.editor, stores.history, bus) for bus in ask.services
        ]
        await asyncio.gather(*(each.follow_these(["r1"]) for each in services * 2))
        await ended(ask)
    assert [await moves(ask, host) for host in made] == [["in_service"], []] * 15
    notes = [event.note for host in bad for event in (await ask(host_history, ListHistory(host=host))).events]
    assert sum(note.startswith("stays in deploying") for note in notes) == len(bad)
    await until(lambda: {host for host, what in told if what == "changed"} >= set(good), "all are told of")
    assert sorted(host for host, what in told if what == "changed" and host in good) == good


async def test_a_run_that_is_gone_keeps_no_other_waiting(ask, nats):
    host = await ask.host(state=HostState.DEPLOYING)
    async with jobs_of(nats) as jobs:
        jobs.states = {host: "running"}
        await init(ask)
        await jobs.becomes()
        jobs.run = "r9"
        await ended(ask)
    assert (await ask.show(host)).state == HostState.DEPLOYING


async def test_one_follows_ones_own_run_for_hosts_that_one_may_change(ask, nats):
    host = await ask.host(state=HostState.DEPLOYING, business="shop")
    grant = Grant(permissions=("hosts:change",), scope=Scope(businesses=("bank",)))
    bound = Principal(kind="person", name=OPERATOR.name, grants=(grant,), via="token")
    async with jobs_of(nats) as jobs:
        jobs.states = {host: "running"}
        limited = msgspec.structs.replace(bound, limited=True, credential="t1")
        for run, by in (("r1", ADMIN), ("r1", limited), ("r2", OPERATOR)):
            with pytest.raises(NotFound, match=f"There is no run {run}.") as told:
                await init(ask, by, run)
            assert told.value.reason == "run.unknown"
        with pytest.raises(Conflict) as refused:
            await init(ask, bound)
        assert refused.value.reason == "init.no_hosts"
        with pytest.raises(Forbidden):
            await init(ask, VIEWER)
        await init(ask)
        assert (await ask(inits.list_inits, ListInits(), limited)).inits == []
        with pytest.raises(Conflict) as refused:
            await init(ask, then=AfterInit.STANDBY)
        assert refused.value.reason == "init.followed"
        with pytest.raises(Invalid):
            await ask(inits.init_hosts, {"run": "r1", "then": "retired"}, OPERATOR)


async def test_what_is_followed_is_found_by_an_index(ask):
    left = {"ended": True, "rest": True, "created_at": {"$gt": datetime.now(UTC)}}
    among = {"_id": {"$in": ["r1"]}, "$or": [{"ended": False}, {"rest": True}]}
    for query in ({"ended": False}, left, among, {"by": "olga", "_id": {"$lt": "r1"}}):
        plan = await ask.database["host_inits"].find(query).sort("_id", -1).explain()
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
