"""Accounts from the command line, and what a run makes of them."""

import json

import pytest

from cli.exits import Exit
from tests.e2e.command_line import drover, environment
from tests.plane import Plane


@pytest.fixture
def logged_in(plane: Plane, tmp_path) -> dict[str, str]:
    return environment(plane, tmp_path)


async def test_accounts_are_defined_granted_shown_and_deleted(plane: Plane, logged_in):
    create = ("account", "create", "cli-db", "--os-user", "postgres", "--grant", "person:alice")
    said = await drover(logged_in, *create)
    assert (said.returncode, "There is no person alice." in said.stderr) == (Exit.REFUSED, True)
    await plane.person("alice", ["viewer"])
    for path, body in (
        ("/roles", {"name": "dba", "permissions": ["runs:start"]}),
        ("/groups", {"name": "databases"}),
    ):
        status, made = await plane.api("POST", path, body)
        assert status == 201, made
    said = await drover(logged_in, *create)
    assert said.returncode == Exit.SUCCEEDED, said.stderr
    said = await drover(
        logged_in, "account", "change", "cli-db",
        "--grant", "role:dba", "--withdraw", "person:alice", "--group", "databases",
    )  # fmt: skip
    assert said.returncode == Exit.SUCCEEDED, said.stderr
    shown = json.loads((await drover(logged_in, "account", "show", "cli-db", "-o", "json")).stdout)
    assert (shown["roles"], shown["people"], shown["groups"], shown["revision"]) == (["dba"], [], ["databases"], 2)
    listed = await drover(logged_in, "account", "list", "--os-user", "postgres", "-o", "name")
    assert listed.stdout == "cli-db\n"
    assert "role:dba" in (await drover(logged_in, "account", "list")).stdout
    assert (await drover(logged_in, "account", "delete", "cli-db")).returncode == Exit.SUCCEEDED
    gone = await drover(logged_in, "account", "show", "cli-db")
    assert (gone.returncode, "account.not_found" in gone.stderr) == (Exit.REFUSED, True)


async def test_a_grant_that_is_none_is_a_matter_of_use(logged_in):
    for word in ("alice", "group:web", "person:"):
        said = await drover(logged_in, "account", "create", "x", "--grant", word)
        assert (said.returncode, "KIND:NAME" in said.stderr or "role:NAME" in said.stderr) == (Exit.USAGE, True)


async def test_nobody_is_root_without_a_grant(plane: Plane, logged_in):
    operator = environment(plane, plane.folder, DROVER_TOKEN=await plane.person("otto", ["operator"]))
    refused = await drover(operator, "x", "id", "-t", "js-1", "--account", "root")
    assert (refused.returncode, "account.not_granted" in refused.stderr) == (Exit.REFUSED, True)
    unknown = await drover(operator, "x", "id", "-t", "js-1", "--account", "nobody-knows")
    assert (unknown.returncode, "account.unknown" in unknown.stderr) == (Exit.REFUSED, True)
    assert (await drover(operator, "x", "true", "-t", "js-1")).returncode == Exit.SUCCEEDED
