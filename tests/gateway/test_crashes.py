"""What people see of our own bugs: a reference, and nothing else."""

import pytest_asyncio
from structlog.testing import capture_logs

from tests.gateway.live_runs import live_runs


@pytest_asyncio.fixture(scope="module")
async def runs(nats):
    async with live_runs(nats) as made:
        yield made


class Broken:
    @property
    def text(self):
        raise RuntimeError("the innermost secret")


async def test_a_service_that_crashes_gives_a_reference_which_its_log_has(viewer, runs):
    run = runs.begin()
    runs.stored[run, "h-1"] = Broken()
    with capture_logs() as lines:
        answer = await viewer.get(f"/runs/{run}/hosts/h-1/output")
    assert (answer.status, answer.reason) == (500, "internal")
    assert b"secret" not in answer.body
    assert b"RuntimeError" not in answer.body
    assert answer.json["details"] == {"ref": answer.json["reference"]}
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["request.crashed"]


async def test_a_service_that_answers_nonsense_is_our_failure_and_no_text_of_it_leaves(viewer, runs):
    run = runs.begin()
    runs.shown[run] = {"secret": "thing"}
    with capture_logs() as lines:
        answer = await viewer.get(f"/runs/{run}")
    assert (answer.status, answer.reason) == (500, "internal")
    assert answer.json["details"] == {}
    assert b"secret" not in answer.body
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["http.crashed"]
