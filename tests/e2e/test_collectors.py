"""Collectors on real agents: one that is shipped, one that people wrote and that runs by interval, one on the management
host."""

import json

import pytest

from cli.exits import Exit
from contracts import runs
from contracts.errors import Forbidden, NotFound
from contracts.hosts import Targets
from contracts.runs import StartRun, StoredScript
from contracts.virtual import STALE_AFTER
from tests.conftest import service_bus
from tests.plane import Plane
from tests.servers import until


async def resources(plane: Plane, **wanted) -> dict[str, dict]:
    status, page = await plane.api("GET", "/virtual?limit=1000")
    assert status == 200, page
    return {
        each["name"]: each for each in page["resources"] if all(each[name] == value for name, value in wanted.items())
    }


async def put(plane: Plane, name: str, *options: str) -> None:
    said = await plane.drover("collector", "put", name, *options)
    assert said.returncode == Exit.SUCCEEDED, said.stderr


async def script(plane: Plane, tmp_path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    saving = ("save", name, "-f", str(tmp_path / name), "--new", "--tag", "collector")
    for words in (saving, ("online", f"{name}@1")):
        said = await plane.drover("script", *words)
        assert said.returncode == Exit.SUCCEEDED, said.stderr


async def test_the_shipped_one_finds_this_very_mongod(plane: Plane):
    hosts = await plane.hosts()
    await put(plane, "databases", "--shipped", "databases", "-t", "js-1", "-t", "js-2", "--kind", "database")
    said = await plane.drover("collector", "run", "databases", "-o", "json")
    assert said.returncode == Exit.SUCCEEDED, said.stderr
    done = json.loads(said.stdout)
    assert (done["hosts"], done["refused"], done["rows"]) == (2, 0, done["new"])
    run = await plane.show(done["run"])
    assert (run["by"]["kind"], run["by"]["name"], run["stored"]["name"]) == (
        "service",
        "resources",
        "collect-databases",
    )
    port = plane.mongo.url.split(":")[2].split("/")[0]
    found = await resources(plane, collector="databases", host=hosts["js-2"])
    assert found[f"mongod:{port}"]["report"] == done["run"]
    shown = await plane.drover("collector", "show", "databases")
    assert (done["id"] in shown.stdout, "collect-databases" in shown.stdout) == (True, True)
    again = await plane.drover("collector", "runs", "databases", "-o", "name")
    assert again.stdout.split() == [done["id"]]
    deleted = await plane.drover("collector", "delete", "databases")
    assert deleted.returncode == Exit.SUCCEEDED, deleted.stderr
    assert (await resources(plane, collector="databases"))[f"mongod:{port}"]["stale"] is True


async def test_one_that_runs_by_interval_marks_what_its_reports_miss(plane: Plane, tmp_path):
    told = tmp_path / "told"
    told.write_text('{"kind": "vm", "name": "web"}\n{"kind": "vm", "name": "old"}\n')
    await script(plane, tmp_path, "tell-vms", f"cat {told}\n")
    await put(plane, "vms", "--script", "tell-vms", "-t", "bj-1", "--every", "60s")
    often = {"$set": {"every_s": 1, "next_at": (await plane.database("resources").command("hello"))["localTime"]}}
    await plane.database("resources")["collectors"].update_one({"_id": "vms"}, often)

    async def both_told() -> bool:
        return (await resources(plane, collector="vms")).keys() == {"web", "old"}

    await until(both_told, "the first report was taken", 60)
    told.write_text('{"kind": "vm", "name": "web"}\n')

    async def stale() -> bool:
        return (await resources(plane, collector="vms"))["old"]["stale"]

    await until(stale, "reports missed it often", 120)
    found = await resources(plane, collector="vms")
    assert (found["old"]["missed"] >= STALE_AFTER, found["web"]["missed"], found["web"]["stale"]) == (True, 0, False)
    told.write_text("no JSON\n")

    async def refused() -> bool:
        _, shown = await plane.api("GET", "/collectors/vms/collections?limit=1")
        return bool(shown["collections"][0]["refused"])

    await until(refused, "what is no JSON is refused", 60)
    said = await plane.drover("collector", "put", "vms", "--script", "tell-vms", "-t", "bj-1", "--disabled")
    assert said.returncode == Exit.SUCCEEDED, said.stderr
    ran = await plane.drover("collector", "run", "vms")
    assert (ran.returncode, "That is no virtual resource" in ran.stdout) == (Exit.FAILED_HOSTS, True), ran.stderr
    assert (await resources(plane, collector="vms"))["web"]["stale"] is False
    status, page = await plane.api("GET", "/runs?by=resources&limit=200")
    _, runs = await plane.api("GET", "/collectors/vms/collections?limit=200")
    named = [run["id"] for run in page["runs"] if run["name"] == "collector vms"]
    assert (status, sorted(named)) == (200, sorted(each["run"] for each in runs["collections"])), "one run for each"


async def test_on_the_management_host_lines_name_the_hosts_that_they_tell_of(plane: Plane, tmp_path):
    hosts = await plane.hosts()
    text = f"""echo '{{"kind": "database", "name": "orders", "host": "{hosts["js-3"]}", "engine": "mysql"}}'\n"""
    await script(plane, tmp_path, "ask-dba", text)
    await put(plane, "dba", "--script", "ask-dba@1", "-t", "local")
    said = await plane.drover("collector", "run", "dba")
    assert said.returncode == Exit.SUCCEEDED, said.stderr
    found = await resources(plane, collector="dba")
    assert (found["orders"]["host"], found["orders"]["known"]) == (hosts["js-3"], {"engine": "mysql"})


async def test_a_script_that_is_no_collector_is_refused(plane: Plane, tmp_path):
    (tmp_path / "plain").write_text("echo hello\n")
    for words in (("save", "plain", "-f", str(tmp_path / "plain"), "--new"), ("online", "plain@1")):
        assert (await plane.drover("script", *words)).returncode == Exit.SUCCEEDED
    said = await plane.drover("collector", "put", "plain", "--script", "plain", "-t", "js-1")
    assert (said.returncode, "collector.not_tagged" in said.stderr) == (Exit.REFUSED, True), said.stderr


async def test_the_service_itself_starts_nothing_but_collectors(plane: Plane):
    """Whoever took over the resources service could do no more than this."""
    targets = Targets(hostnames=("js-1",))
    async with service_bus(plane.nats, "resources") as bus:
        with pytest.raises(Forbidden) as refused:
            await bus.call(runs.start, StartRun(script="id", targets=targets))
        assert refused.value.reason == "run.script_not_stored"
        with pytest.raises(NotFound) as unknown:
            await bus.call(runs.start, StartRun(stored=StoredScript(name="plain"), targets=targets))
        assert unknown.value.reason == "script.unknown"
