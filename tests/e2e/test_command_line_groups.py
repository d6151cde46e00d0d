"""Groups from the command line, and a run on them."""

import json

import pytest

from cli.exits import Exit
from tests.e2e.command_line import drover, environment
from tests.plane import Plane

THEIR_PERMISSIONS = ("hosts:read", "groups:read", "groups:change", "runs:read", "runs:start", "tokens:own")


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


async def test_whoever_is_bounded_to_a_group_sees_and_runs_on_its_hosts_only(plane: Plane, logged_in):
    hosts = await plane.hosts()
    await drover(logged_in, "group", "create", "cli-theirs", "--host", "js-1,bj-2")
    made = await drover(
        logged_in, "role", "create", "cli-their-operator", "--scope", "group=cli-theirs",
        *(word for each in THEIR_PERMISSIONS for word in ("--permission", each)),
    )  # fmt: skip
    assert made.returncode == Exit.SUCCEEDED, made.stderr
    granted = await drover(logged_in, "account", "change", "agent", "--grant", "role:cli-their-operator")
    assert granted.returncode == Exit.SUCCEEDED, granted.stderr
    bounded = environment(plane, plane.folder, DROVER_TOKEN=await plane.person("gwen", ["cli-their-operator"]))
    ran = await drover(bounded, "x", "echo $DROVER_HOST", "-t", "all", "-y", "--expect-hosts", "2")
    assert ran.returncode == Exit.SUCCEEDED, ran.stderr
    for name in ("js-1", "bj-2"):
        assert hosts[name] in ran.stdout
    outside = await drover(bounded, "x", "true", "-t", "js-2")
    assert (outside.returncode, "targets.unknown" in outside.stderr) == (Exit.REFUSED, True), outside.stderr
    listed = await drover(bounded, "host", "list", "-o", "name")
    assert sorted(listed.stdout.split()) == sorted([hosts["js-1"], hosts["bj-2"]])
    assert (await drover(bounded, "group", "list", "-o", "name")).stdout == "cli-theirs\n"
    widened = await drover(bounded, "group", "add", "cli-theirs", hosts["js-2"])
    assert (widened.returncode, "auth.forbidden" in widened.stderr) == (Exit.REFUSED, True)


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
