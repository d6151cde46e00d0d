"""`drover` against the whole plane: data, talk and exit statuses."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys

import pytest

from cli import targets
from cli.client import Client
from cli.connection import Connection
from cli.exits import Exit, Refused
from contracts.hosts import ListHosts, list_hosts
from contracts.runs import MASK
from tests.e2e.command_line import drover, environment, wire
from tests.plane import PASSWORD, PROJECT, Plane
from tests.servers import free_ports

JS = ["js-1", "js-2", "js-3"]


@pytest.fixture
def logged_in(plane: Plane, tmp_path) -> dict[str, str]:
    return environment(plane, tmp_path)


def run_id(said: subprocess.CompletedProcess[str]) -> str:
    """From the last line of the talk: `run <id> <state>: …`."""
    return said.stderr.splitlines()[-1].split()[1]


async def test_equal_outputs_are_folded_and_the_last_line_counts(logged_in):
    said = await drover(logged_in, "x", "echo same; exit 3", "-t", "idc=js")
    assert said.returncode == Exit.FAILED_HOSTS, said.stderr
    heading, output = said.stdout.splitlines()
    assert heading.startswith("3 hosts: failed, exit status 3: ")
    assert sorted(heading.rpartition(": ")[2].split(", ")) == JS
    assert output == "same"
    assert said.stderr.splitlines()[-1].endswith(" failed: 3 hosts: 3 failed")


async def test_failures_come_first_and_success_is_status_0(plane: Plane, logged_in):
    bad = (await plane.hosts())["js-2"]
    mixed = await drover(logged_in, "x", f"echo on $DROVER_HOST; [ $DROVER_HOST != {bad} ]", "-t", "idc=js")
    assert mixed.returncode == Exit.FAILED_HOSTS
    assert mixed.stdout.splitlines()[:2] == ["1 host: failed, exit status 1: js-2", f"on {bad}"]
    good = await drover(logged_in, "x", "true", "-t", "js-1", "-t", "bj-1")
    assert good.returncode == Exit.SUCCEEDED, good.stderr
    assert good.stdout in {"2 hosts: succeeded: bj-1, js-1\n", "2 hosts: succeeded: js-1, bj-1\n"}


async def test_hosts_named_in_several_ways_are_all_chosen_however_many(plane: Plane, monkeypatch):
    monkeypatch.setattr(targets, "PAGE", 2)
    hosts = await plane.hosts()
    connection = Connection(plane.url, plane.token)

    def choose(*words: str, allow_unknown: bool = False) -> set[str]:
        return set(targets.targets(Client(connection), words, (), allow_unknown=allow_unknown).ids)

    named = {hosts[name] for name in (*JS, "bj-1")}
    assert await asyncio.to_thread(choose, *JS, hosts["bj-1"]) == named
    assert await asyncio.to_thread(choose, *JS, hosts["bj-1"], "10.9.9.9", allow_unknown=True) == named
    with pytest.raises(Refused, match="none of the hosts named exists"):
        await asyncio.to_thread(choose, "10.9.9.9", "nowhere", allow_unknown=True)
    connection.close()


async def test_names_are_read_back(plane: Plane, logged_in):
    hosts = await plane.hosts()
    listed = await drover(logged_in, "host", "list", "--idc", "js", "-o", "name")
    assert sorted(listed.stdout.split()) == sorted(hosts[name] for name in JS)
    started = await drover(
        logged_in, "x", "printf '%s\\n' \"$1\"", "-t", "@-", "-o", "name", "--", "-n", stdin=listed.stdout
    )
    assert started.returncode == Exit.SUCCEEDED, started.stderr
    assert sorted(started.stdout.split()) == sorted(listed.stdout.split())
    [output] = {each["head"] for each in await plane.results(run_id(started))}
    assert output == "-n\n"


async def test_hosts_named_in_every_way_are_all_chosen(plane: Plane, logged_in):
    hosts = await plane.hosts()
    said = await drover(logged_in, "x", "true", "-t", hosts["js-1"], "-t", "bj-2,js-3", "--dry-run", "-o", "name")
    assert sorted(said.stdout.split()) == sorted([hosts["js-1"], hosts["bj-2"], hosts["js-3"]])
    assert "would run on 3 hosts" in said.stderr
    without = await drover(
        logged_in, "x", "true", "-t", "idc=js", "-x", "js-1", "-x", hosts["js-2"], "--dry-run", "-o", "name"
    )
    assert without.stdout.split() == [hosts["js-3"]]


async def test_a_dry_run_and_a_wrong_number_start_nothing(plane: Plane, logged_in):
    before = (await plane.api("GET", "/runs?limit=1"))[1]["runs"]
    await drover(logged_in, "x", "true", "-t", "all", "--dry-run")
    wrong = await drover(logged_in, "x", "true", "-t", "all", "--expect-hosts", "5")
    assert wrong.returncode == Exit.REFUSED
    assert "that is 6 hosts, not 5 (targets.changed)" in wrong.stderr
    assert (await plane.api("GET", "/runs?limit=1"))[1]["runs"] == before
    right = await drover(logged_in, "x", "true", "-t", "all", "--expect-hosts", "6")
    assert right.returncode == Exit.SUCCEEDED, right.stderr


async def test_json_is_what_the_api_says(plane: Plane, logged_in):
    listed = await drover(logged_in, "host", "show", "js-1", "-o", "json")
    shown = json.loads(listed.stdout)
    _, told = await plane.api("GET", f"/hosts/{shown['id']}")
    assert {**shown, "presence": None} == {**told, "presence": None}
    done = await drover(logged_in, "x", "echo hi", "-t", "idc=bj", "-o", "json")
    content = json.loads(done.stdout)
    assert content["run"] == await plane.show(content["run"]["id"])
    assert {each["head"] for each in content["hosts"]} == {"hi\n"}
    plain = await drover(logged_in, "api", "GET", f"/runs/{content['run']['id']}")
    assert json.loads(plain.stdout) == content["run"]


async def test_lists_take_every_page(plane: Plane):
    connection = Connection(plane.url, plane.token)
    client = Client(connection)
    whole = client.all_pages(list_hosts, ListHosts(limit=2))
    assert sorted(each["hostname"] for each in whole["hosts"]) == sorted(await plane.hosts())
    assert len(client.all_pages(list_hosts, ListHosts(limit=2), at_most=3)["hosts"]) == 3
    connection.close()


async def test_a_long_output_is_whole(logged_in):
    said = await drover(logged_in, "x", "seq 30000", "-t", "js-1")
    assert said.stdout.splitlines()[1:] == [str(n) for n in range(1, 30001)]
    few = await drover(logged_in, "x", "seq 30000", "-t", "js-1", "--lines", "2")
    assert few.stdout.splitlines()[1:] == ["1", "2"]
    assert "more: drover run output" in few.stderr


async def test_scripts_come_from_files_and_stdin(logged_in, tmp_path):
    file = tmp_path / "check.py"
    file.write_text("import sys\nprint('python', sys.argv[1:])\n")
    python = await drover(logged_in, "x", "-f", str(file), "-t", "js-1", "a", "b c")
    assert python.stdout.splitlines()[1] == "python ['a', 'b c']"
    shell = await drover(logged_in, "x", "-", "-t", "js-1", "--env", "WHO=me", stdin="echo from $WHO\n")
    assert shell.stdout.splitlines()[1] == "from me"
    both = await drover(logged_in, "x", "-", "-t", "@-", stdin="js-1")
    assert both.returncode == Exit.USAGE


async def test_a_secret_reaches_the_script_and_is_never_shown(plane: Plane, logged_in, tmp_path):
    secret, file = "hunter2-very-long", tmp_path / "key"
    file.write_text("from-a-file\n")
    script = """. "$DROVER_LIB"; for name in PASSWORD key region; do printf %s "$(drover_param $name)" | sha256sum | cut -c1-64; done"""
    options = ["--secret", "PASSWORD", "--secret", f"key=@{file}", "--param", "region=js", "-o", "json"]
    said = await drover({**logged_in, "PASSWORD": secret}, "x", script, "-t", "js-1", *options)
    content = json.loads(said.stdout)
    hashes = [hashlib.sha256(each.encode()).hexdigest() for each in (secret, "from-a-file", "js")]
    assert content["hosts"][0]["head"].split() == hashes
    shown = await drover(logged_in, "run", "show", content["run"]["id"])
    assert f"PASSWORD={MASK}" in shown.stdout
    assert "region=js" in shown.stdout
    for hidden in ("hunter2", "from-a-file"):
        assert hidden not in said.stdout + said.stderr + shown.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["x"], Exit.USAGE, "what shall run"),
        (["x", "true"], Exit.REFUSED, "targets.none_asked"),
        (["x", "true", "-t", "colour=red"], Exit.USAGE, "nobody chooses hosts by"),
        (["x", "true", "-t", "10.99.99.99"], Exit.REFUSED, "targets.unknown"),
        (["x", "true", "-t", "idc=nowhere"], Exit.REFUSED, "Choose hosts that exist; nothing was started."),
        (["x", "true", "-t", "all", "--account", "Not An Account"], Exit.REFUSED, "bus.malformed"),
        (["x", "true", "-t", "all", "--timeout", "soon"], Exit.USAGE, "is not a span of time"),
        (["run", "show", "nosuchrun"], Exit.REFUSED, "run.unknown"),
        (["run", "show", ".."], Exit.USAGE, "is not the name of a run"),
        (["host", "show", "nosuchhost"], Exit.REFUSED, "host.unknown"),
        (["api", "GET", "/nowhere"], Exit.REFUSED, "http.not_found"),
        (["api", "POST", "/runs", "-d", "{"], Exit.REFUSED, "http.malformed_json"),
        (["x", "echo \udcff", "-t", "all"], Exit.USAGE, "not text in UTF-8"),
        (["host", "list", "--search", "\udcff"], Exit.USAGE, "not text in UTF-8"),
        (["nonsense"], Exit.USAGE, "No such command"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
async def test_refusals_say_what_and_why_on_stderr(logged_in, arguments, status, told):
    said = await drover(logged_in, *arguments)
    assert said.returncode == status, said.stderr
    assert told in said.stderr
    assert said.stdout == ""
    assert "Traceback" not in said.stderr


async def test_without_a_good_token_it_is_status_4(plane: Plane, tmp_path):
    wrong = await drover(environment(plane, tmp_path, DROVER_TOKEN="drv_nonsense"), "host", "list")
    assert (wrong.returncode, wrong.stdout) == (Exit.LOGIN, "")
    assert "auth.token_invalid" in wrong.stderr
    nobody = await drover(environment(plane, tmp_path, DROVER_URL="", DROVER_TOKEN=""), "host", "list")
    assert nobody.returncode == Exit.LOGIN
    assert "drover login" in nobody.stderr


async def test_where_nobody_answers_it_is_status_5(plane: Plane, tmp_path):
    [port] = free_ports(1)
    said = await drover(environment(plane, tmp_path, DROVER_URL=f"http://127.0.0.1:{port}"), "host", "list")
    assert (said.returncode, said.stdout) == (Exit.UNREACHABLE, "")
    assert "connection refused" in said.stderr
    assert "drover doctor" in said.stderr


async def test_what_is_not_drover_is_told(plane: Plane, tmp_path):
    health = f"http://127.0.0.1:{plane.ports['resources']}"
    said = await drover(environment(plane, tmp_path, DROVER_URL=health), "host", "list")
    assert said.returncode == Exit.UNREACHABLE
    assert "not as Drover does" in said.stderr


async def test_the_same_idempotency_key_is_one_run(logged_in):
    command = ["x", "true", "-t", "js-1", "--detach", "-o", "name", "--idempotency-key", "cli-key"]
    first, second = await drover(logged_in, *command), await drover(logged_in, *command)
    assert first.returncode == second.returncode == 0, second.stderr
    assert first.stdout == second.stdout
    watched = await drover(logged_in, "run", "watch", first.stdout.strip())
    assert watched.returncode == Exit.SUCCEEDED


async def test_runs_are_listed_shown_searched_and_read(plane: Plane, logged_in):
    done = await drover(
        logged_in, "x", "echo one; echo Needle $DROVER_HOST; exit 1", "-t", "idc=js", "--name", "haystack"
    )
    run = run_id(done)
    listed = await drover(logged_in, "run", "list", "-n", "20")
    assert any(run in line and "failed" in line and "haystack" in line for line in listed.stdout.splitlines())
    found = await drover(logged_in, "run", "output", run, "--search", "needle")
    hosts = await plane.hosts()
    assert sorted(found.stdout.splitlines()) == [f"{name}:2:Needle {hosts[name]}" for name in JS]
    one = await drover(logged_in, "run", "output", run, "js-2", "--offset", "4")
    assert one.stdout == f"Needle {hosts['js-2']}\n"
    failed = await drover(logged_in, "run", "hosts", run, "--failed", "-o", "name")
    assert len(failed.stdout.split()) == 3
    everything = await drover(logged_in, "run", "output", run)
    assert everything.stdout.count("Needle") == 3
    unknown = await drover(logged_in, "run", "output", run, "bj-1")
    assert unknown.returncode == Exit.REFUSED


async def test_failed_hosts_are_tried_again(plane: Plane, logged_in, tmp_path):
    mark = tmp_path / "mended"
    first = await drover(logged_in, "x", f"[ -e {mark} ]", "-t", "idc=js")
    assert first.returncode == Exit.FAILED_HOSTS
    mark.touch()
    again = await drover(logged_in, "run", "retry", run_id(first), "--why", "mended")
    assert again.returncode == Exit.SUCCEEDED, again.stderr
    shown = await drover(logged_in, "run", "show", run_id(first))
    assert "mended" in shown.stdout


async def test_no_colour_and_no_bar_for_programs(logged_in):
    said = await drover(logged_in, "x", "printf '\\033[31mred\\033[0m\\n'", "-t", "js-1")
    assert said.stdout.splitlines()[1] == "\x1b[31mred\x1b[0m", "the output itself is left as it is"
    assert "\x1b" not in said.stdout.splitlines()[0] + said.stderr


@pytest.mark.parametrize(
    "arguments", [["x", "seq 200000", "-t", "js-1"], ["api", "GET", "/runs?limit=200"]], ids=" ".join
)
def test_a_reader_that_goes_away_is_no_error(logged_in, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "cli", *arguments]
    process = subprocess.Popen(command, cwd=PROJECT, env=logged_in, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    _, told = process.communicate(timeout=60)
    assert process.returncode == Exit.BROKEN_PIPE
    assert "Traceback" not in told
    assert "Broken" not in told


async def test_login_keeps_a_token_and_logout_takes_it_back(plane: Plane, tmp_path):
    environ = environment(plane, tmp_path, DROVER_URL="", DROVER_TOKEN="")
    wrong = await drover(environ, "login", plane.url, "--user", "admin", stdin="not the password\n")
    assert (wrong.returncode, wrong.stdout) == (Exit.LOGIN, "")
    assert not (tmp_path / ".config/drover/config.toml").exists()
    done = await drover(environ, "login", plane.url, "--user", "admin", "--context", "test", stdin=PASSWORD + "\n")
    assert done.returncode == 0, done.stderr
    config = tmp_path / ".config/drover/config.toml"
    assert config.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in config.read_text()
    assert (await drover(environ, "whoami", "-o", "name")).stdout == "admin\n"
    assert (await drover(environ, "context", "list", "-o", "name")).stdout == "test\n"
    assert (await drover(environ, "host", "list", "--context", "other")).returncode == Exit.USAGE
    assert (await drover(environ, "logout")).returncode == 0
    assert (await drover(environ, "whoami")).returncode == Exit.LOGIN
    assert (await drover(environ, "context", "use", "nowhere")).returncode == Exit.USAGE


async def test_a_private_authority_is_trusted_when_it_is_named(plane: Plane, tmp_path):
    async with wire(plane, tls=tmp_path / "authority") as between:
        environ = environment(plane, tmp_path, DROVER_URL="", DROVER_TOKEN="")
        command = ["login", between.url, "--user", "admin"]
        refused = await drover(environ, *command, stdin=PASSWORD + "\n")
        assert refused.returncode == Exit.UNREACHABLE
        assert "its certificate is not trusted" in refused.stderr
        wrong = await drover({**environ, "DROVER_URL": between.url}, "doctor", "-o", "name")
        assert (wrong.returncode, wrong.stdout) == (Exit.UNREACHABLE, "certificate\n")
        done = await drover(environ, *command, "--ca", str(tmp_path / "authority/ca.crt"), stdin=PASSWORD + "\n")
        assert done.returncode == 0, done.stderr
        assert (await drover(environ, "whoami", "-o", "name")).stdout == "admin\n"
        assert (await drover(environ, "x", "true", "-t", "js-1")).returncode == Exit.SUCCEEDED
        well = await drover(environ, "doctor", "-o", "json")
        assert {each["state"] for each in json.loads(well.stdout)} == {"ok"}, well.stdout


async def test_tokens_are_given_out_and_taken_back(plane: Plane, logged_in, tmp_path):
    secret = (await drover(logged_in, "token", "create", "for a test", "--expires", "1h", "-o", "name")).stdout.strip()
    own = environment(plane, tmp_path, DROVER_TOKEN=secret)
    assert (await drover(own, "whoami", "-o", "name")).stdout == "admin\n"
    listed = json.loads((await drover(own, "token", "list", "-o", "json")).stdout)["tokens"]
    [made] = [each["id"] for each in listed if each["label"] == "for a test"]
    assert (await drover(logged_in, "token", "withdraw", made)).returncode == 0
    assert (await drover(own, "whoami")).returncode == Exit.LOGIN


async def test_join_tokens_and_integrations(logged_in):
    join = await drover(logged_in, "join-token", "create", "js", "--uses", "2", "--tag", "web", "-o", "json")
    made = json.loads(join.stdout)
    assert made["uses_left"] == 2
    listed = await drover(logged_in, "join-token", "list")
    assert made["id"] in listed.stdout
    assert made["secret"] not in listed.stdout
    assert (await drover(logged_in, "join-token", "withdraw", made["id"])).returncode == 0
    assert made["id"] not in (await drover(logged_in, "join-token", "list")).stdout
    given = await drover(logged_in, "integration", "create", "i-cli", "--call", "jobs.runs.show", "--event", "jobs.run")
    assert "BEGIN NATS USER JWT" in given.stdout, given.stderr
    assert "_INBOX.i-cli" in given.stderr
    assert "i-cli" in (await drover(logged_in, "integration", "list")).stdout
    hears = await drover(logged_in, "integration", "change", "i-cli", "--scope", "tag=web")
    assert (hears.returncode, "integration.hears_everything" in hears.stderr) == (Exit.REFUSED, True)
    neither = await drover(logged_in, "integration", "change", "i-cli")
    assert neither.returncode == Exit.USAGE
    words = ("i-tag", "--call", "jobs.runs.start", "--scope", "tag=web")
    assert (await drover(logged_in, "integration", "create", *words)).returncode == 0
    assert "tag=web" in (await drover(logged_in, "integration", "list")).stdout
    wider = await drover(logged_in, "integration", "change", "i-tag", "--everywhere", "--revision", "1")
    assert wider.stdout == "i-tag: everywhere\n", wider.stderr
    assert (await drover(logged_in, "integration", "revoke", "i-tag")).returncode == 0
    assert (await drover(logged_in, "integration", "revoke", "i-cli")).returncode == 0


async def test_the_doctor_finds_nothing_or_what_is_wrong(plane: Plane, logged_in, tmp_path):
    well = await drover(logged_in, "doctor", "-o", "json")
    assert well.returncode == 0, well.stdout
    assert {each["state"] for each in json.loads(well.stdout)} == {"ok"}
    [port] = free_ports(1)
    away = await drover(environment(plane, tmp_path, DROVER_URL=f"http://127.0.0.1:{port}"), "doctor", "-o", "json")
    assert away.returncode == Exit.UNREACHABLE
    found = {each["what"]: each for each in json.loads(away.stdout)}
    assert (found["port"]["state"], found["jobs"]["state"]) == ("wrong", "skipped")
    assert "firewall" in found["port"]["remedy"]
    nobody = await drover(environment(plane, tmp_path, DROVER_TOKEN=""), "doctor", "-o", "name")
    assert (nobody.returncode, nobody.stdout) == (Exit.LOGIN, "login\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion_is_printed(logged_in, shell):
    said = await drover(logged_in, "completion", shell)
    assert said.returncode == 0
    assert "_DROVER_COMPLETE" in said.stdout


async def test_the_shell_is_told_what_fits(logged_in):
    environ = {**logged_in, "_DROVER_COMPLETE": "bash_complete", "COMP_WORDS": "drover run st", "COMP_CWORD": "2"}
    assert (await drover(environ)).stdout.split() == ["plain,start", "plain,stop"]
