"""A run by the name of a stored script: the exact version is recorded, and its tags bound who starts it."""

import pytest

from contracts import runs
from contracts.errors import Conflict, Forbidden, Invalid, NotFound
from contracts.people import Principal
from contracts.permissions import Grant, Scope
from contracts.runs import MASK, Parameter, RetryRun, StoredScript
from contracts.scripts import VersionState
from runtime.signing import sha256
from tests.jobs.rig import OPERATOR

INSTALL = {"script": "", "stored": StoredScript(name="install")}


def starting(*tags):
    grant = Grant(permissions=("runs:read", "runs:start"), scope=Scope(script_tags=tags))
    return Principal(kind="person", name="sam", grants=(grant,), via="session")


@pytest.fixture
def shelf(jobs):
    jobs.shelf.texts["install"] = "print(1)\n"
    return jobs.shelf


async def refused(work, kind, reason):
    with pytest.raises(kind) as refusal:
        await work
    assert refusal.value.reason == reason


async def test_the_run_records_the_very_version_and_its_hash(jobs, shelf):
    agent = await jobs.agent("h-1")
    given = Parameter(name="a", value="1")
    run = await jobs.ended(await jobs.start("h-1", **INSTALL, parameters=(given,)))
    assert (run.stored, run.script, run.language) == (StoredScript(name="install", version=3), "print(1)\n", "python")
    assert run.script_sha256 == sha256(b"print(1)\n")
    assert [(p.name, p.value, p.masked) for p in run.parameters] == [("a", "1", False), ("key", MASK, True)]
    [asked] = shelf.asked
    assert (asked.principal, asked.version, asked.parameters) == (OPERATOR, 0, (given,))
    [(task, order)] = agent.scripts.items()
    assert (order.script, order.parameters, agent.secrets[task]) == ("print(1)\n", {"a": "1"}, {"key": "hidden"})


async def test_a_run_has_a_text_or_a_stored_script(jobs, shelf):
    jobs.known("h-1")
    await refused(jobs.start("h-1", script=""), Invalid, "run.one_script")
    await refused(jobs.start("h-1", script="x", stored=INSTALL["stored"]), Invalid, "run.one_script")
    await refused(jobs.start("h-1", script="", stored=StoredScript(name="nowhere")), NotFound, "script.unknown")
    assert not await jobs.documents("runs")


async def test_one_key_starts_a_stored_script_once_although_another_version_is_online_by_now(jobs, shelf):
    jobs.known("h-1")
    run = await jobs.start("h-1", **INSTALL, idempotency_key="k")
    shelf.texts["install"] = "print(2)\n"
    assert (await jobs.start("h-1", **INSTALL, idempotency_key="k")).script == run.script == "print(1)\n"


async def test_a_scope_bound_to_tags_starts_scripts_with_one_of_them_and_nothing_else(jobs, shelf):
    jobs.known("h-1")
    assert (await jobs.start("h-1", **INSTALL, by=starting("web"))).stored == StoredScript(name="install", version=3)
    await refused(jobs.start("h-1", **INSTALL, by=starting("db")), Forbidden, "run.script_not_stored")
    await refused(jobs.start("h-1", by=starting("web")), Forbidden, "run.script_not_stored")


async def test_a_retry_asks_whether_the_version_may_still_run(jobs, shelf):
    jobs.known("h-1")
    run = await jobs.ended(await jobs.start("h-1", **INSTALL, by=starting("web")))
    shelf.tags = ("db",)
    retry = RetryRun(run=run.id)
    await refused(jobs.ask(runs.retry, retry, by=starting("web")), Forbidden, "run.script_not_stored")
    shelf.tags, shelf.state = ("web",), VersionState.DRAFT
    await refused(jobs.ask(runs.retry, retry, by=starting("web")), Forbidden, "run.script_not_stored")
    shelf.state = VersionState.RETIRED
    await refused(jobs.ask(runs.retry, retry), Conflict, "script.retired")
    shelf.state = VersionState.ONLINE
    tried = await jobs.ask(runs.retry, retry, by=starting("web"))
    assert (tried.tries, tried.script) == (2, "print(1)\n")


async def test_what_a_stored_script_brings_along_has_the_same_bounds(jobs, shelf):
    jobs.known("h-1")
    shelf.texts["install"] = "x" * (512 * 1024 + 1)
    await refused(jobs.start("h-1", **INSTALL), Invalid, "run.script_too_large")
