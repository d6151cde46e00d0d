"""A run is in the audit trail before there is one."""

import json

import pytest

from contracts import runs
from contracts.errors import Forbidden, Unavailable
from contracts.runs import Parameter, StoredScript
from tests.auditing import ended, refusing, rows
from tests.jobs.rig import VIEWER
from tests.servers import until

SUBJECT = runs.start.subject


async def test_no_run_is_started_if_it_cannot_be_written(jobs):
    jobs.known("a")
    async with refusing(jobs.database):
        with pytest.raises(Unavailable) as refused:
            await jobs.start("a")
        assert refused.value.reason == "audit.away"
        assert await jobs.documents("runs") == []


async def test_a_run_is_one_row_that_asks_and_one_that_names_it(jobs):
    names = [f"h{n}" for n in range(20)]
    jobs.known(*names)
    secret = Parameter(name="key", value="s3cret-value", masked=True)
    run = await jobs.start(*names, parameters=(secret,))
    await until(lambda: ended(jobs.database, SUBJECT), "how it ended is written")
    asked, done = await rows(jobs.database)
    assert (done["object"], done["outcome"]) == (run.id, "ok")
    assert json.loads(asked["request"])["script"] == "echo hi"
    assert "s3cret-value" not in str((asked, done))


async def test_who_may_not_start_runs_is_in_it(jobs):
    jobs.known("a")
    with pytest.raises(Forbidden):
        await jobs.start("a", by=VIEWER)

    async def written():
        return [(row["kind"], row["who"]["name"]) for row in await rows(jobs.database)] == [("denied", "vic")]

    await until(written, "the denial is written")


async def test_a_value_that_only_the_stored_script_calls_a_secret_is_not_in_it(jobs):
    jobs.known("a")
    jobs.shelf.texts["install"] = "true"
    given = Parameter(name="token", value="s3cret-value")
    await jobs.start("a", script="", stored=StoredScript(name="install"), parameters=(given,))
    await until(lambda: ended(jobs.database, SUBJECT), "how it ended is written")
    assert "s3cret-value" not in str(await rows(jobs.database))
