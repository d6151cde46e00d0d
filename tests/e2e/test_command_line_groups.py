"""Groups from the command line, and a run on them."""

import json

import pytest

from cli.exits import Exit
from tests.e2e.command_line import drover, environment
from tests.plane import Plane


@pytest.fixture
def logged_in(plane: Plane, tmp_path) -> dict[str, str]:
    return environment(plane, tmp_path)


async def test_groups_are_made_nested_shown_changed_and_deleted(plane: Plane, logged_in):
    hosts = await plane.hosts()

    async def said(*words: str, stdin: str = "") -> str:
        done = await drover(logged_in, *words, stdin=stdin)
        assert done.returncode == Exit.SUCCEEDED, done.stderr
        return done.stdout

    await said("group", "create", "cli-canary", "--host", f"js-1,{hosts['js-2']}", "--number", "200")
    await said("group", "add", "cli-canary", "@-", stdin="bj-1\n")
    await said("group", "remove", "cli-canary", "js-2")
    members = (await said("group", "members", "cli-canary", "-o", "name")).split()
    assert sorted(members) == sorted([hosts["js-1"], hosts["bj-1"]])
    await said("group", "create", "cli-js", "--where", "idc = js and not group(cli-canary)", "--tag", "cli")
    await said("group", "create", "cli-both", "--group", "cli-js", "--group", "cli-canary")
    await said("group", "change", "cli-both", "--description", "mine", "--no-groups", "--revision", "1")
    await said("group", "change", "cli-both", "--group", "cli-js")
    shown = json.loads(await said("group", "show", "cli-both", "-o", "json"))
    assert (shown["groups"], shown["description"], shown["revision"]) == (["cli-js"], "mine", 3)
    assert (await said("group", "list", "--tag", "cli", "-o", "name")) == "cli-js\n"
    assert "idc:js" in await said("group", "list", "--kind", "idc")
    assert len((await said("group", "members", "idc:js", "-o", "name")).split()) == 3
    assert "js-2" in await said("group", "members", "cli-both")

    ran = await drover(logged_in, "x", "true", "-t", "group=cli-both,cli-canary", "-x", "where=hostname = js-3")
    assert ran.returncode == Exit.SUCCEEDED, ran.stderr
    assert ran.stdout.startswith("3 hosts: succeeded: ")
    for name in ("bj-1", "js-1", "js-2"):
        assert name in ran.stdout
    listed = await said("host", "list", "--group", "cli-canary", "--where", "idc = bj", "-o", "name")
    assert listed == f"{hosts['bj-1']}\n"

    used = await drover(logged_in, "group", "delete", "cli-canary")
    assert (used.returncode, "group.in_use" in used.stderr) == (Exit.REFUSED, True)
    for name in ("cli-both", "cli-js", "cli-canary"):
        await said("group", "delete", name)


async def test_preview_counts_on_stderr_and_lists_on_stdout(plane: Plane, logged_in):
    seen = await drover(logged_in, "group", "preview", "hostname = js-*", "--limit", "2", "-o", "name")
    assert (seen.returncode, len(seen.stdout.split())) == (Exit.SUCCEEDED, 2)
    assert seen.stderr == "3 hosts fit, 2 of them shown\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("group", "preview", "tag = web and"), "Column 14"),
        (("group", "preview", "not nosuch"), "Column 5"),
        (("x", "true", "-t", "where=tagg = web"), "did you mean tag"),
        (("x", "true", "-t", "group=nosuch"), "There is no group nosuch"),
        (("group", "show", "nosuch"), "There is no group nosuch"),
        (("group", "create", "cli-x", "--group", "nosuch"), "There is no group nosuch"),
    ],
)
async def test_what_means_nothing_is_told_and_nothing_starts(logged_in, words, told):
    said = await drover(logged_in, *words)
    assert (said.returncode, told in said.stderr) == (Exit.REFUSED, True), said.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("group", "create", "x", "--host", "idc=js"),
        ("group", "add", "x"),
        ("group", "change", "x", "--tag", "a", "--no-tags"),
        ("group", "change", "x", "--group", "a", "--no-groups"),
    ],
)
async def test_misuse(logged_in, words):
    assert (await drover(logged_in, *words)).returncode == Exit.USAGE
