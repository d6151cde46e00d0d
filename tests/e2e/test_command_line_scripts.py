"""Stored scripts from the command line to the hosts."""

import json

import pytest

from cli.exits import Exit
from tests.e2e.command_line import drover, environment
from tests.plane import Plane


@pytest.fixture
def logged_in(plane: Plane, tmp_path) -> dict[str, str]:
    return environment(plane, tmp_path)


async def test_a_script_is_saved_vetted_and_run_by_its_name(plane: Plane, logged_in, tmp_path):
    file = tmp_path / "greet.sh"
    file.write_text('. "$DROVER_LIB"\necho "$(drover_param greeting) $(drover_param token) $1"\n')
    said = await drover(
        logged_in, "script", "save", "cli-greet", "-f", str(file), "--new", "--tag", "cli",
        "--param", "greeting:hello|bye=hello", "--param", "token:secret!",
    )  # fmt: skip
    assert said.returncode == Exit.SUCCEEDED, said.stderr
    operator = environment(plane, tmp_path, DROVER_TOKEN=await plane.person("gero", ["operator"]), token="s3cret")
    run = ("x", "--script", "cli-greet", "--secret", "token", "-t", "js-1", "you")
    draft = await drover(operator, *run)
    assert (draft.returncode, "script.not_online" in draft.stderr) == (Exit.REFUSED, True)
    assert (await drover(logged_in, "script", "online", "cli-greet@1")).returncode == Exit.SUCCEEDED
    good = await drover(operator, *run)
    assert (good.returncode, good.stdout.splitlines()[1]) == (Exit.SUCCEEDED, "hello •••••• you")
    missing = await drover(operator, "x", "--script", "cli-greet", "-t", "js-1")
    assert (missing.returncode, "run.parameter_missing" in missing.stderr) == (Exit.REFUSED, True)
    shown = json.loads(
        (await drover(operator, "run", "show", good.stderr.splitlines()[-1].split()[1], "-o", "json")).stdout
    )
    assert (shown["stored"], shown["script"]) == ({"name": "cli-greet", "version": 1}, file.read_text())


async def test_versions_are_compared_found_cloned_and_retired(logged_in, tmp_path):
    file = tmp_path / "cli.py"
    for number, text in enumerate(("import drover\nprint('uniquely one')\n", "import drover\nprint('two')\n")):
        file.write_text(text)
        new = ["--new"] if number == 0 else ["--note", "better"]
        said = await drover(logged_in, "script", "save", "cli-versions", "-f", str(file), *new)
        assert said.returncode == Exit.SUCCEEDED, said.stderr
    assert (
        "-print('uniquely one')\n+print('two')\n"
        in (await drover(logged_in, "script", "diff", "cli-versions@1")).stdout
    )
    assert (await drover(logged_in, "script", "show", "cli-versions@1", "--text")).stdout.endswith("one')\n")
    assert (await drover(logged_in, "script", "versions", "cli-versions", "-o", "name")).stdout.split() == [
        "cli-versions@2",
        "cli-versions@1",
    ]
    assert (await drover(logged_in, "script", "clone", "cli-versions@1", "cli-clone")).returncode == Exit.SUCCEEDED
    assert (await drover(logged_in, "script", "search", "UNIQUELY", "-o", "name")).stdout == "cli-clone\n"
    assert "cli-versions" in (await drover(logged_in, "script", "list", "--search", "cli-v")).stdout
    await drover(logged_in, "script", "online", "cli-versions@2")
    retired = await drover(logged_in, "script", "retire", "cli-versions@2", "-o", "json")
    assert json.loads(retired.stdout)["online"] == 0


async def test_variables_reach_a_script_and_secret_ones_are_masked(plane: Plane, logged_in):
    hosts = await plane.hosts()
    for scope, text in (
        ("group:global", "e2e: {id: 0, password: !secret hunter2hunter2, list: [a, 1]}\n"),
        (f"host:{hosts['js-1']}", "e2e: {id: 7}\n"),
    ):
        status, said = await plane.api("POST", f"/variables/{scope}", {"text": text})
        assert status == 200, said
    script = '. "$DROVER_LIB"; echo $(drover_var e2e.id) $(drover_var e2e.list) $(drover_var e2e.password) $(drover_var mine.x)'
    said = await drover(logged_in, "x", script, "-t", "js-1", "-t", "js-2", "--var", "mine.x=hi there")
    assert said.returncode == Exit.SUCCEEDED, said.stderr + said.stdout
    assert sorted(said.stdout.splitlines()[1::2]) == ['0 ["a",1] •••••• hi there', '7 ["a",1] •••••• hi there']
    python = "import drover; print(drover.var('inventory_hostname'), drover.var('e2e.none', 'without'))"
    told = await drover(logged_in, "x", "--python", python, "-t", "js-1")
    assert told.stdout.splitlines()[1].endswith(" without"), told.stdout
    twice = await drover(logged_in, "x", "true", "-t", "js-1", "--var", "a=1", "--var", "a.b=2")
    assert (twice.returncode, "another value" in twice.stderr) == (Exit.USAGE, True)


async def test_a_file_is_linted_without_being_stored(logged_in):
    said = await drover(logged_in, "script", "lint", "-", stdin="if true; then\n")
    assert (said.returncode, "error SC" in said.stdout) == (Exit.FAILED_HOSTS, True)
    good = await drover(logged_in, "script", "lint", "-", "--python", stdin="print(1)\n")
    assert (good.returncode, good.stdout) == (Exit.SUCCEEDED, "")


async def test_a_stored_script_has_its_own_text(logged_in):
    said = await drover(logged_in, "x", "--script", "one", "-f", "file", "-t", "js-1")
    assert said.returncode == Exit.USAGE
    assert (await drover(logged_in, "x", "--script", "one@zero", "-t", "js-1")).returncode == Exit.USAGE
