"""People, roles, tokens and sessions from the command line."""

import json

import pytest

from cli import scopes
from cli.exits import Exit
from contracts.permissions import EVERYTHING, Scope
from tests.e2e.command_line import drover, environment
from tests.plane import PASSWORD, Plane

OTHER = "another long password"


@pytest.fixture
def admin(bare_plane: Plane, tmp_path):
    """What the command line says to an admin who does everything right."""
    environ = environment(bare_plane, tmp_path)

    async def said(*words: str, stdin: str = "", token: str = "") -> str:
        own = {**environ, "DROVER_TOKEN": token} if token else environ
        done = await drover(own, *words, stdin=stdin)
        assert done.returncode == Exit.SUCCEEDED, done.stderr
        return done.stdout

    return said


async def test_a_role_is_defined_given_changed_and_deleted(bare_plane: Plane, admin, tmp_path):
    for path, body in (
        ("/places", {"kind": "business", "path": "shop"}),
        ("/places", {"kind": "business", "path": "商城"}),
        ("/accounts", {"alias": "cli-deploy", "os_user": "nobody"}),
    ):
        status, made = await bare_plane.api("POST", path, body)
        assert status == 201, made
    scope = ("--scope", "business=shop,商城", "--scope", "account=cli-deploy")
    wrong = ("role", "create", "cli-shop", "--permission", "hosts:read", "--scope", "business=shpo")
    refused = await drover(environment(bare_plane, tmp_path), *wrong)
    assert (refused.returncode, "There is no business shpo. Near it: shop." in refused.stderr) == (Exit.REFUSED, True)
    await admin("role", "create", "cli-shop", "--permission", "hosts:read", *scope, "--description", "the shop's")
    await admin("person", "create", "cli-kim", "--role", "cli-shop", stdin=PASSWORD + "\n")
    token = await bare_plane.person("cli-lee", ["cli-shop", "viewer"])
    shown = await admin("whoami", token=token)
    assert "cli-shop, viewer" in shown
    assert "hosts:read (business=shop,商城, account=cli-deploy)" in shown
    await admin("role", "change", "cli-shop", "--permission", "runs:read", "--everywhere", "--revision", "1")
    role = json.loads(await admin("role", "show", "cli-shop", "-o", "json"))
    assert (role["permissions"], role["description"], role["revision"]) == (["runs:read"], "the shop's", 2)
    assert set(role["scope"].values()) == {None}
    late = await drover(environment(bare_plane, tmp_path), "role", "change", "cli-shop", "--revision", "1")
    assert late.returncode == Exit.REFUSED
    assert "admin changed the role cli-shop" in late.stderr
    assert 'Since revision 1: permissions ["hosts:read"] → ["runs:read"]' in late.stderr
    used = await drover(environment(bare_plane, tmp_path), "role", "delete", "cli-shop")
    assert (used.returncode, "has the role" in used.stderr) == (Exit.REFUSED, True)
    await admin("person", "change", "cli-kim", "--role", "viewer")
    await admin("person", "change", "cli-lee", "--role", "viewer")
    assert await admin("role", "delete", "cli-shop", "-o", "name") == "cli-shop\n"
    assert {"viewer", "operator", "admin"} <= set((await admin("role", "list", "-o", "name")).split())
    assert "built-in" in await admin("role", "list")


async def test_people_are_disabled_enabled_and_given_passwords(bare_plane: Plane, admin, tmp_path):
    token = await bare_plane.person("cli-pat", ["viewer"])
    assert "disabled" in await admin("person", "disable", "cli-pat")
    refused = await drover(environment(bare_plane, tmp_path, DROVER_TOKEN=token), "whoami")
    assert refused.returncode == Exit.LOGIN
    assert "enabled" in await admin("person", "enable", "cli-pat")
    await admin("person", "password", "cli-pat", stdin=OTHER + "\n")
    await admin("person", "unlock", "cli-pat", "--address", "192.0.2.1")
    assert "cli-pat" in (await admin("person", "list", "-o", "name")).split()
    environ = environment(bare_plane, tmp_path, DROVER_URL="", DROVER_TOKEN="")
    login = ("login", bare_plane.url, "--user", "cli-pat")
    assert (await drover(environ, *login, stdin=OTHER + "\n")).returncode == 0
    changed = await drover(environ, "password", stdin=f"{OTHER}\n{PASSWORD}\n")
    assert (changed.returncode, changed.stdout) == (0, "changed  cli-pat\n"), changed.stderr
    assert (await drover(environ, "whoami")).returncode == Exit.LOGIN
    assert (await drover(environ, *login, stdin=PASSWORD + "\n")).returncode == 0
    assert json.loads(await admin("person", "show", "cli-pat", "-o", "json"))["changed_by"] == "cli-pat"


async def test_tokens_have_limits_and_admins_take_them_back(bare_plane: Plane, admin):
    owner = await bare_plane.person("cli-sam", ["operator"])
    limits = ("--permission", "runs:read", "--permission", "tokens:own", "--scope", "business=shop")
    secret = (await admin("token", "create", "report", *limits, "-o", "name", token=owner)).strip()
    listed = await admin("token", "list", token=secret)
    [line] = [line for line in listed.splitlines() if "report" in line]
    assert line.endswith("business=shop")
    [made] = [
        each.split()[0]
        for each in (await admin("token", "list", "--person", "cli-sam")).splitlines()
        if "report" in each
    ]
    assert await admin("token", "withdraw", made, "--person", "cli-sam", "-o", "name") == made + "\n"
    assert made not in await admin("token", "list", "--person", "cli-sam", "-o", "name")


async def test_sessions_are_listed_and_revoked(bare_plane: Plane, admin):
    token = await bare_plane.person("cli-max", ["viewer"])
    [session] = (await admin("session", "list", "-o", "name", token=token)).split()
    assert "127.0.0.1" in await admin("session", "list", "--person", "cli-max")
    assert await admin("session", "revoke", session, "-o", "name", token=token) == "1\n"
    assert await admin("session", "revoke", "--all", "--person", "cli-max", "-o", "name") == "0\n"
    assert await admin("session", "revoke", "--all", "-o", "name", token=token) == "0\n"
    assert await admin("session", "list", "-o", "name", token=token) == ""


@pytest.mark.parametrize("words", [("session", "revoke"), ("session", "revoke", "s-1", "--all"),
    ("role", "create", "x", "--permission", "runs:read", "--scope", "idc=js"),
    ("role", "create", "x", "--permission", "runs:read", "--scope", "business="),
    ("role", "change", "x", "--everywhere", "--scope", "business=shop")])  # fmt: skip
async def test_what_cannot_be_meant_is_refused_before_it_is_sent(words, tmp_path, bare_plane: Plane):
    environ = environment(bare_plane, tmp_path, DROVER_URL="http://127.0.0.1:1")
    assert (await drover(environ, *words)).returncode == Exit.USAGE


def test_scopes_are_read_as_they_are_told():
    scope = scopes.read(["business=shop,bank", "business=商城", "tag=vetted"])
    assert scope == Scope(businesses=("shop", "bank", "商城"), script_tags=("vetted",))
    assert scopes.read(scopes.told(scope).splitlines()) == scope
    assert scopes.told(EVERYTHING) == "everywhere"
