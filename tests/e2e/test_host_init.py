"""Hosts that came to be deployed are prepared by a stored script, and serve."""

import json

import pytest_asyncio

from cli.exits import Exit
from tests.e2e.command_line import drover, environment
from tests.plane import Plane, whole_plane
from tests.servers import until


@pytest_asyncio.fixture
async def fresh_plane(tmp_path):
    """Three hosts whose join tokens said that they are being deployed."""
    async with whole_plane(tmp_path / "plane") as plane:
        await plane.add_agents({"fresh": [(f"new-{n}", "js") for n in (1, 2, 3)]}, state="deploying")
        yield plane


async def test_hosts_serve_once_the_script_has_prepared_them_and_the_others_stay(fresh_plane: Plane, tmp_path):
    shell = environment(fresh_plane, tmp_path)
    hosts = await fresh_plane.hosts()
    script = tmp_path / "prepare.sh"
    script.write_text(f'[ "$DROVER_HOST" != {hosts["new-2"]} ] || exit 7\n')
    for command in (("save", "prepare", "-f", str(script), "--new"), ("online", "prepare@1")):
        said = await drover(shell, "script", *command)
        assert said.returncode == Exit.SUCCEEDED, said.stderr
    init = ("host", "init", "state=deploying", "--script", "prepare", "--then", "in_service", "-o", "json")
    said = await drover(shell, *init)
    assert said.returncode == Exit.SUCCEEDED, said.stderr
    run = json.loads(said.stdout)
    assert (run["hosts"], run["then"], run["by"]) == (3, "in_service", "admin")

    async def ended() -> bool:
        _, page = await fresh_plane.api("GET", "/host-inits")
        return bool(page["inits"][0]["ended"])

    await until(ended, "the run is not followed any more")
    states = {host: await state(fresh_plane, id) for host, id in hosts.items()}
    assert states == {"new-1": "in_service", "new-2": "deploying", "new-3": "in_service"}
    history = await drover(shell, "host", "history", "new-2")
    assert "stays in deploying: failed, exit status 7" in history.stdout
    moved = await drover(shell, "host", "history", "new-1")
    assert f"drover run {run['run']}" in moved.stdout
    none = await drover(shell, *init[:2], "new-1", *init[3:])
    assert (none.returncode, "targets.empty" in none.stderr) == (Exit.REFUSED, True), "it serves: nothing runs there"


async def state(plane: Plane, host: str) -> str:
    status, shown = await plane.api("GET", f"/hosts/{host}")
    assert status == 200, shown
    return shown["state"]
