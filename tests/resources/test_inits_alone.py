"""Following runs in instances that have a database to themselves: one that hears nothing, and one that is killed."""

import asyncio
import contextlib
import os
import sys
from datetime import UTC, datetime

from contracts import inits
from contracts.hosts import HostState
from contracts.states import Outcome
from services.resources.app import running
from services.resources.inits import worker
from tests.resources.conftest import service, settings
from tests.resources.preparing import ended, init, jobs_of, moved, moves, tried_again
from tests.resources.test_process import PROJECT
from tests.resources.test_process import environ as process_environ
from tests.servers import until


async def test_that_a_run_is_tried_again_is_noticed_though_nobody_told(nats, mongo, monkeypatch):
    monkeypatch.setattr(worker, "LOOK_EVERY_S", 0.2)
    monkeypatch.setattr(worker, "LOOK_BACK_S", 0.2)
    async with service(nats, mongo.url) as ask, jobs_of(nats) as jobs:
        good, bad = sorted([await ask.host(state=HostState.DEPLOYING) for _ in range(2)])
        await tried_again(ask, jobs, good, bad, told=False)


async def test_of_two_instances_one_is_killed_and_the_other_goes_on_where_it_was(nats, mongo, tmp_path):
    async with service(nats, mongo.url, instances=0) as ask, contextlib.AsyncExitStack() as stack:
        process = await killable(nats, mongo, ask.database.name, tmp_path, stack)
        made = sorted([await ask.host(state=HostState.DEPLOYING) for _ in range(3)])
        jobs = await stack.enter_async_context(jobs_of(nats))
        jobs.states = dict.fromkeys(made, "running")
        await init(ask)
        await stack.enter_async_context(running(settings(nats, mongo.url, ask.database.name)))
        await jobs.becomes(**{made[0]: Outcome.SUCCEEDED})
        await until(lambda: moved(ask, made[0]), "the first has moved on")
        jobs.asked.clear()
        jobs.held = asyncio.Event()
        await jobs.becomes(**{made[1]: Outcome.SUCCEEDED, made[2]: Outcome.FAILED}, ended=True)
        await jobs.asked.wait()
        process.kill()
        await process.wait()
        past = datetime(2020, 1, 1, tzinfo=UTC)
        await ask.database["leases"].update_one({"_id": worker.LEASE}, {"$set": {"until": past}})
        jobs.held.set()
        await jobs.becomes(ended=True)
        await ended(ask)
        assert [await moves(ask, host) for host in made] == [["in_service"], ["in_service"], []]
        kinds = [row["kind"] async for row in ask.database["audit"].find({"call": inits.init_hosts.subject})]
        assert sorted(kinds) == ["asked", "done"], "the call, once"


async def killable(nats, mongo, database, folder, stack):
    """The service as a process, which has everything to itself so far."""
    log = folder / "log"
    environ = {**os.environ, **process_environ(nats, mongo), "RESOURCES_MONGO_DATABASE": database}
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.resources", env=environ, cwd=PROJECT, stdout=out, stderr=out
        )

    async def end():
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    stack.push_async_callback(end)
    await until(lambda: "resources.serving" in log.read_text(), "it serves")
    return process
