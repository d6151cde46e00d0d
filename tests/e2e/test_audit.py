"""The audit trail of a whole plane: one action of a person, over all services, and the record of it is sound."""

import pytest

from cli.exits import Exit
from contracts import hosts, runs
from tests.e2e.command_line import drover, environment
from tests.plane import Plane
from tests.servers import until


@pytest.fixture
def logged_in(plane: Plane, tmp_path) -> dict[str, str]:
    return environment(plane, tmp_path)


async def test_a_run_and_an_enrolment_are_found_and_the_trail_is_sound(plane: Plane, logged_in):
    run = await plane.run("true", {"idcs": ["js"]}, name="audited")
    await plane.finished(run)

    async def written():
        status, page = await plane.api("GET", f"/audit?object={run}")
        assert status == 200, page
        return [each["outcome"] for each in page["entries"] if each["call"] == runs.start.subject] == ["ok"]

    await until(written, "the run's start is in the trail")
    for call in (hosts.enrol.subject, hosts.create_join_token.subject, "gateway.login"):
        status, page = await plane.api("GET", f"/audit?call={call}&limit=5")
        assert status == 200
        assert page["entries"], call
        assert all(each["who"]["address"] == "127.0.0.1" for each in page["entries"])
    said = await drover(logged_in, "audit", "verify")
    assert said.returncode == Exit.SUCCEEDED, said
    assert "sound: " in said.stderr
    said = await drover(logged_in, "audit", "list", "--object", run, "-o", "name")
    assert len(said.stdout.splitlines()) == 1
