"""The whole path, as people and programs use it: real services, two relays, six agents and the management host's."""

import asyncio
import hashlib
import json
import subprocess

import pytest

from contracts.runs import MASK
from tests.e2e.plain_nats import PlainNats
from tests.plane import Plane
from tests.servers import until

SIX = ["js-1", "js-2", "js-3", "bj-1", "bj-2", "bj-3"]


def by_name(results):
    return {result["hostname"]: result for result in results}


async def test_a_script_runs_on_all_six_hosts(plane: Plane):
    run = await plane.run("echo hello from $DROVER_HOST; exit 0", {"all": True})
    done = await plane.finished(run)
    assert (done["state"], done["hosts"], done["counts"]["succeeded"]) == ("succeeded", 6, 6)
    assert sorted(by_name(await plane.results(run))) == sorted(SIX)


async def test_the_command_line_shows_failed_hosts_with_status_and_output(plane: Plane):
    done = await plane.drover("x", "echo hello from $DROVER_HOST; exit 3", "-t", "idc=js", "-o", "json")
    assert done.returncode == 1, done.stderr
    results = [each for each in json.loads(done.stdout)["hosts"]]
    assert len(results) == 3
    assert {(each["state"], each["exit_code"]) for each in results} == {("failed", 3)}
    assert all(each["head"].startswith("hello from h-") for each in results)


async def test_everything_about_a_run_is_in_mongodb(plane: Plane):
    run = await plane.run("echo kept; exit 3", {"idcs": ["js"]})
    await plane.finished(run)
    jobs = plane.database("jobs")
    document = await jobs["runs"].find_one({"_id": run})
    assert (document["state"], document["script"]) == ("failed", "echo kept; exit 3")
    outcomes = await jobs["outcomes"].find({"run": run}).to_list(None)
    assert len(outcomes) == 3
    assert {(each["outcome"], each["exit_code"], each["head"]) for each in outcomes} == {("failed", 3, "kept\n")}
    assert all(each["_id"] == f"{each['task']}:{each['host']}:report" for each in outcomes)
    waves = await jobs["waves"].find({"run": run}).to_list(None)
    assert sorted(host["id"] for host in waves[0]["hosts"]) == sorted(each["host"] for each in outcomes)


async def test_plain_http_does_the_same(plane: Plane):
    body = json.dumps({"script": "echo over http", "targets": {"idcs": ["bj"]}})
    command = ["curl", "-sS", "--fail-with-body", f"{plane.url}/api/v1/runs", "-H", f"Authorization: Bearer {plane.token}",
               "-H", "Content-Type: application/json", "-d", body]  # fmt: skip
    said = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    run = json.loads(said.stdout)["id"]
    assert (await plane.finished(run))["counts"]["succeeded"] == 3


async def test_a_program_in_any_language_does_the_same_over_nats(plane: Plane):
    status, integration = await plane.api(
        "POST", "/integrations",
        {"name": "i-acme", "calls": ["jobs.runs.start", "jobs.runs.show"], "events": ["jobs.run"]},
    )  # fmt: skip
    assert status == 201, integration

    def speak():
        client = PlainNats(
            integration["servers"][0], integration["credentials"], integration["ca"], integration["inbox_prefix"]
        )
        client.subscribe("evt.jobs.run.>")
        headers, run = client.request(
            "svc.i-acme.jobs.runs.start", {"script": "echo over nats", "targets": {"all": True}}
        )
        assert "Nats-Service-Error" not in headers, run
        while (event := client.next_message())["run"] != run["id"] or event["state"] not in {"succeeded", "failed"}:
            pass
        headers, refusal = client.request("svc.i-acme.jobs.runs.start", {"script": "x", "targets": {}})
        assert (headers["Nats-Service-Error-Code"], refusal["reason"]) == ("400", "targets.none_asked")
        refused = [client.publish_is_refused(subject) for subject in (
            "svc.i-acme.jobs.runs.stop", "svc.gateway.jobs.runs.start", "cmd.js.h.h-1", "svc.i-other.jobs.runs.start")]  # fmt: skip
        client.close()
        return run["id"], event["state"], refused

    run, state, refused = await asyncio.to_thread(speak)
    assert (state, refused) == ("succeeded", [True] * 4)
    by = (await plane.show(run))["by"]
    assert (by["kind"], by["name"], by["roles"], by["via"]) == ("integration", "i-acme", [], "bus")
    assert (await plane.api("DELETE", "/integrations/i-acme"))[0] == 200


async def test_local_means_the_management_host(plane: Plane):
    run = await plane.run("echo $DROVER_HOST", {"local": True})
    assert (await plane.finished(run))["hosts"] == 1
    [result] = await plane.results(run)
    assert (result["idc"], result["state"]) == ("mgmt", "succeeded")


async def test_python_scripts_parameters_results_and_masks(plane: Plane):
    script = (
        "import drover, sys\n"
        "drover.info('began')\n"
        "drover.tag('blue')\n"
        "print('secret is', drover.param('password'), 'and', drover.param('region'), sys.argv[1:])\n"
        "drover.result({'ok': True, 'n': 7})\n"
    )
    run = await plane.run(
        script, {"hostnames": ["js-1"]}, language="python", args=["a b", "*"],
        parameters=[{"name": "password", "value": "hunter2-long", "masked": True}, {"name": "region", "value": "7001"}],
    )  # fmt: skip
    assert (await plane.finished(run))["state"] == "succeeded"
    [result] = await plane.results(run)
    assert json.loads(result["result"]) == {"ok": True, "n": 7}
    assert result["tag"] == "blue"
    assert f"secret is {MASK} and 7001 ['a b', '*']" in result["head"]
    everything = json.dumps([await plane.show(run), result], ensure_ascii=False)
    assert "hunter2-long" not in everything
    for database in ("jobs", "gateway", "resources"):
        for collection in await plane.database(database).list_collection_names():
            for document in await plane.database(database)[collection].find({}).to_list(None):
                assert "hunter2-long" not in str(document), (database, collection)


async def test_a_hundred_thousand_lines_from_six_hosts_are_complete_and_in_order(plane: Plane, tmp_path):
    lines, seen = 100_000, tmp_path / "seen"
    whole = "".join(f"line {n}\n" for n in range(1, lines + 1))
    run = await plane.run(
        f'i=0; while [ $i -lt 10 ]; do seq -f "line %.0f" $((i*{lines // 10}+1)) $(((i+1)*{lines // 10})); i=$((i+1)); sleep 0.3; done; until [ -e {seen} ]; do sleep 0.1; done',
        {"all": True},
    )
    hosts = {each["hostname"]: each["host"] for each in await plane.results(run)}
    watched, text = hosts["bj-2"], ""
    async for event in plane.stream(run, output=[f"{run}:{watched}"]):
        if event.kind == "output":
            assert event.data["offset"] == len(text)
            text += event.data["text"]
            if not seen.exists():
                assert (await plane.show(run))["state"] == "running", "it is seen while the scripts run"
                seen.touch()
        if text == whole:
            break
    assert (await plane.finished(run))["counts"]["succeeded"] == 6
    for host in hosts.values():
        assert (
            hashlib.sha256((await plane.output(run, host)).encode()).digest() == hashlib.sha256(whole.encode()).digest()
        )


async def test_fifty_megabytes_are_capped_with_a_marker(plane: Plane):
    run = await plane.run("head -c 52428800 /dev/zero | tr '\\0' 'x' | fold -w 1023; echo end", {"hostnames": ["js-2"]})
    assert (await plane.finished(run))["state"] == "succeeded"
    [result] = await plane.results(run)
    text = await plane.output(run, result["host"])
    assert "output limit" in text[-200:]
    assert result["output_dropped"] > 30 * 2**20
    assert len(text.encode()) == result["output_bytes"] < 20 * 2**20


async def test_words_are_found_in_the_output_of_all_hosts(plane: Plane):
    run = await plane.run("seq 20000; echo needle on $DROVER_HOST; seq 5", {"all": True})
    await plane.finished(run)
    status, found = await plane.api("GET", f"/runs/{run}/search?text=NEEDLE")
    assert status == 200
    assert sorted(each["hostname"] for each in found["hosts"]) == sorted(SIX)
    assert {match["line"] for each in found["hosts"] for match in each["matches"]} == {20001}


async def test_a_stopped_run_leaves_nothing_running(plane: Plane, tmp_path):
    mark = tmp_path / "beat"
    run = await plane.run(f"trap '' TERM; (setsid sh -c 'while :; do date >> {mark}; sleep 0.1; done' &) ; sleep 600",
                          {"hostnames": ["bj-1"]}, kill_grace_s=1)  # fmt: skip
    await until(mark.exists, "the script runs")
    status, _ = await plane.api("POST", f"/runs/{run}/stop", {"why": "enough"})
    assert status == 200
    done = await plane.finished(run)
    assert (done["state"], done["counts"]["stopped"]) == ("stopped", 1)
    assert [(each["what"], each["why"]) for each in done["actions"]][-1] == ("stop", "enough")
    size = mark.stat().st_size
    still = await asyncio.to_thread(subprocess.run, ["pgrep", "-f", str(mark)], capture_output=True)
    assert (still.returncode, mark.stat().st_size) == (1, size)


async def test_only_the_failed_hosts_are_tried_again(plane: Plane, tmp_path):
    script = f'echo ran >> {tmp_path}/$DROVER_HOST; test "$(wc -l < {tmp_path}/$DROVER_HOST)" -ge "$(cat {tmp_path}/needed-$DROVER_HOST 2>/dev/null || echo 1)"'
    hosts = await plane.hosts()
    (tmp_path / f"needed-{hosts['js-3']}").write_text("2")
    run = await plane.run(script, {"idcs": ["js"]})
    first = await plane.finished(run)
    assert (first["state"], first["counts"]["succeeded"], first["counts"]["failed"]) == ("failed", 2, 1)
    assert (await plane.api("POST", f"/runs/{run}/retry", {"why": "again"}))[0] == 200
    second = await plane.finished(run)
    assert (second["state"], second["tries"], second["counts"]["succeeded"]) == ("succeeded", 2, 3)
    ran = {
        name: len((tmp_path / host).read_text().splitlines()) for name, host in hosts.items() if name.startswith("js")
    }
    assert ran == {"js-1": 1, "js-2": 1, "js-3": 2}


async def test_a_timed_out_script_says_so(plane: Plane):
    run = await plane.run("sleep 600", {"hostnames": ["js-1"]}, timeout_s=1, kill_grace_s=1)
    assert (await plane.finished(run))["counts"]["timed_out"] == 1


async def test_an_account_that_a_host_lacks_is_refused_there(plane: Plane):
    run = await plane.run("echo no", {"hostnames": ["js-1"]}, account="nosuchaccount")
    done = await plane.finished(run)
    assert done["counts"]["refused"] == 1
    [result] = await plane.results(run)
    assert result["reason"] == "account.unknown"
    assert "nosuchaccount" in result["message"]


async def test_the_same_idempotency_key_starts_one_run(plane: Plane):
    body = {"script": "echo once", "targets": {"hostnames": ["js-1"]}}
    answers = await asyncio.gather(*(plane.api("POST", "/runs", body, {"Idempotency-Key": "k-1"}) for _ in range(8)))
    assert {status for status, _ in answers} == {201}
    assert len({run["id"] for _, run in answers}) == 1
    status, problem = await plane.api("POST", "/runs", {**body, "script": "echo other"}, {"Idempotency-Key": "k-1"})
    assert (status, problem["reason"]) == (409, "run.idempotency_mismatch")


@pytest.mark.parametrize("role", ["viewer"])
async def test_a_viewer_sees_and_does_nothing(plane: Plane, role):
    token = await plane.person(f"vic-{role}", [role])
    status, problem = await plane.api("POST", "/runs", {"script": "id", "targets": {"all": True}}, token=token)
    assert (status, problem["reason"]) == (403, "auth.forbidden")
    assert (await plane.api("GET", "/runs", token=token))[0] == 200


async def test_every_part_is_healthy_and_counts(plane: Plane):
    for name in plane.parts:
        if name.startswith(("agents", "mgmt")):
            continue
        assert await plane.page(name, "/readyz") == (200, "ok\n"), name
        status, metrics = await plane.page(name, "/metrics")
        assert status == 200
        assert "drover_bus_connected 1.0" in metrics, name


async def test_a_script_that_runs_on_is_seen_running(plane: Plane):
    run = await plane.run("sleep 600", {"idcs": ["bj"]}, kill_grace_s=1)

    async def all_running() -> bool:
        return (await plane.show(run))["counts"]["running"] == 3

    await until(all_running, "three hosts are seen running")
    assert {each["state"] for each in await plane.results(run)} == {"running"}
    assert (await plane.api("POST", f"/runs/{run}/stop", {}))[0] == 200
    assert (await plane.finished(run))["counts"]["stopped"] == 3


async def test_nothing_keeps_an_event_loop_busy(plane: Plane):
    """Every process of this module's tests was watched; see tests/slow_callbacks."""
    run = await plane.run("seq 200000", {"all": True})
    await plane.finished(run)
    assert plane.slow_callbacks() == []
