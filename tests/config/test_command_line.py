"""`drover var` and `drover template` against a gateway and this service."""

import json
import os

import pytest

from cli.exits import Exit
from contracts.runs import MASK
from tests.e2e.command_line import drover, terminal


@pytest.fixture
def environ(gateway, tmp_path):
    address, token = gateway
    kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    return {**kept, "HOME": str(tmp_path), "DROVER_URL": address, "DROVER_TOKEN": token, "TERM": "xterm"}


@pytest.fixture
def two_hosts(fleet, clean):
    fleet.host("h-0000000000a1", "10.0.0.1")
    fleet.host("h-0000000000b2", "10.0.0.2")
    fleet.group("web", add=["h-0000000000a1"])


ONE, OTHER = "h-0000000000a1", "h-0000000000b2"


async def said(environ, *words, stdin="", status=Exit.SUCCEEDED):
    done = await drover(environ, *words, stdin=stdin)
    assert done.returncode == status, done.stderr
    return done


async def test_variables_from_a_file_to_the_hosts(environ, two_hosts, tmp_path):
    everywhere = tmp_path / "global.yaml"
    everywhere.write_text("region: {id: 1, name: all}\nmode: 0755\npassword: !secret hunter2\n")
    done = await said(environ, "var", "set", "global", str(everywhere), "--why", "begin")
    assert (done.stdout, done.stderr.startswith("line 2, column 7: 0755 is text here")) == (
        "group:global revision 1\n",
        True,
    )
    await said(environ, "var", "set", "group:web", "-", stdin="region: {id: 2}\n")
    await said(environ, "var", "set", f"host:{OTHER}", "-", stdin="region: {id: 3}\n")
    shown = await said(environ, "var", "show", "global")
    assert shown.stdout == everywhere.read_text().replace("hunter2", f'"{MASK}"')
    flat = await said(environ, "var", "effective", ONE, "--key", "region", "--flat")
    assert flat.stdout == 'region.id: 2\nregion.name: "all"\n'
    both = await said(environ, "var", "effective", ONE, OTHER, "--key", "region.id")
    assert both.stdout == f"# {ONE}\nregion:\n  id: 2\n# {OTHER}\nregion:\n  id: 3\n"
    task = await said(environ, "var", "effective", ONE, "--task", "-", "-o", "json", stdin="region: {id: 9}")
    assert json.loads(task.stdout)["hosts"][0]["flat"]["region.id"] == 9
    why = await said(environ, "var", "explain", "region.id", "--host", ONE)
    assert why.stdout.splitlines()[1:] == [
        f"{ONE}  region.id  2      group:web revision 1",
        f"{ONE}  region.id                               1 of group:global revision 1",
    ]
    for keys, complaint in ((("region.di",), "region.di"), (("region", "x.y"), "x.y")):
        nothing = await said(environ, "var", "explain", *keys, "--host", ONE, status=Exit.REFUSED)
        assert nothing.stderr.startswith(f"drover: the host does not have {complaint}\n")
    assert "region.id" in nothing.stdout
    listed = await said(environ, "var", "list", "--search", "region.id", "-o", "name")
    assert listed.stdout.split() == ["group:global", "group:web", f"host:{OTHER}"]


async def test_what_a_change_would_do_and_what_it_did(environ, two_hosts):
    await said(environ, "var", "set", "global", "-", stdin="a: 1\nb: 1\n")
    blast = await said(environ, "var", "blast", "global", "-", stdin="a: 2\nb: 1\n")
    assert blast.stdout.splitlines() == [
        "a  1  2",
        "2 of 2 hosts change",
        f"  {ONE}.example: a",
        f"  {OTHER}.example: a",
        "0 templates that read them",
    ]
    await said(environ, "var", "set", "global", "-", "--revision", "1", stdin="a: 2\n")
    diff = await said(environ, "var", "diff", "global", "--keys")
    assert [line.split() for line in diff.stdout.splitlines()[1:]] == [["a", "1", "2"], ["b", "1", "(nothing)"]]
    assert "-a: 1\n" in (await said(environ, "var", "diff", "global")).stdout
    versions = await said(environ, "var", "versions", "global", "-o", "name")
    assert versions.stdout.split() == ["2", "1"]
    late = await said(environ, "var", "set", "global", "-", "--revision", "1", stdin="a: 3\n", status=Exit.REFUSED)
    assert "variables.changed_meanwhile" in late.stderr


async def test_at_a_terminal_a_change_is_shown_and_asked_about(environ, two_hosts, tmp_path):
    file = tmp_path / "web.yaml"
    file.write_text("a: 1\n")
    async with terminal(environ, "var", "set", "group:web", str(file)) as screen:
        await screen.until("1 of 1 host change")
        await screen.until("Set the variables of group:web? [y/N]")
        screen.type("n\n")
        assert await screen.status() == Exit.INTERRUPTED
    assert (await said(environ, "var", "show", "group:web")).stdout == ""


async def test_what_cannot_be_read_or_named(environ, two_hosts, tmp_path):
    (tmp_path / "latin").write_bytes(b"a: \xff")
    for words, complaint in (
        (("var", "set", "global", str(tmp_path / "nothing")), "cannot read"),
        (("var", "set", "global", str(tmp_path / "latin")), "not text in UTF-8"),
        (("var", "show", "everything"), "is no scope"),
        (("var", "show", "host:"), "is no scope"),
    ):
        assert complaint in (await said(environ, *words, status=Exit.USAGE)).stderr
    bad = await said(environ, "var", "set", "global", "-", stdin="a: 1\na: 2\n", status=Exit.REFUSED)
    assert "Line 2, column 1: 'a' stands already in line 1. (variables.duplicate_key)" in bad.stderr


async def test_templates_from_a_file_to_the_hosts(environ, two_hosts, tmp_path):
    file = tmp_path / "a.j2"
    file.write_text("{{ inventory_hostname }} {{ x }}\n")
    await said(environ, "var", "set", "group:web", "-", stdin="x: 1\n")
    done = await said(environ, "template", "save", "a", str(file), "--tag", "web", "--description", "A file")
    assert done.stdout == "a revision 1\n"
    assert (await said(environ, "template", "show", "a")).stdout == file.read_text()
    assert (await said(environ, "template", "render", "a", ONE)).stdout == "10.0.0.1 1\n"
    values = await said(environ, "template", "render", "a", ONE, "--values")
    assert [line.split() for line in values.stdout.splitlines()[1:]] == [
        [ONE, "inventory_hostname", '"10.0.0.1"'],
        [ONE, "x", "1"],
    ]
    some = await said(environ, "template", "render", "a", ONE, OTHER, status=Exit.FAILED_HOSTS)
    assert some.stdout == f"# {ONE}\n10.0.0.1 1\n"
    assert some.stderr == f"{OTHER}: line 1: x is undefined (template.undefined)\n"
    file.write_text("{{ y }}")
    with_task = await said(environ, "template", "render", "a", ONE, "--text", str(file), "--task", "-", stdin="y: 2")
    assert with_task.stdout == "2\n"
    lint = await said(environ, "template", "lint", "a", ONE, OTHER, status=Exit.FAILED_HOSTS)
    assert [line.split() for line in lint.stdout.splitlines()[1:]] == [
        ["inventory_hostname", "1"],
        ["x", "1", "1:", OTHER],
    ]
    assert (await said(environ, "template", "lint", "a", ONE, "-o", "name")).stdout == ""
    listed = await said(environ, "template", "list", "--tag", "web", "-o", "json")
    assert [each["description"] for each in json.loads(listed.stdout)["templates"]] == ["A file"]


async def test_templates_are_compared(environ, two_hosts):
    await said(environ, "template", "save", "a", "-", stdin="one\n")
    await said(environ, "template", "save", "a", "-", "--revision", "1", stdin="two\n")
    assert "-one\n+two\n" in (await said(environ, "template", "diff", "a")).stdout
    host = await said(environ, "template", "diff", "a", "--host", ONE, "--content", "-", stdin="three\n")
    assert "-three\n+two\n" in host.stdout
    assert (await said(environ, "template", "versions", "a", "-o", "name")).stdout.split() == ["2", "1"]


async def test_hosts_for_which_a_template_fails_alike_are_one_line(environ, two_hosts, fleet):
    fleet.host("h-0000000000c3", "10.0.0.3")
    await said(environ, "template", "save", "motd", "-", stdin="{{ owner }}\n")
    hosts = (ONE, OTHER, "h-0000000000c3")
    failed = await said(environ, "template", "render", "motd", *hosts, status=Exit.REFUSED)
    assert failed.stderr.startswith(f"drover: For {', '.join(hosts)}, line 1: owner is undefined. (template.undefined)")
    await said(environ, "var", "set", "group:web", "-", stdin="owner: olga\n")
    line = f"{OTHER}, h-0000000000c3: line 1: owner is undefined (template.undefined)\n"
    some = await said(environ, "template", "render", "motd", *hosts, status=Exit.FAILED_HOSTS)
    assert (some.stdout, some.stderr) == (f"# {ONE}\nolga\n", line)
    values = await said(environ, "template", "render", "motd", *hosts, "--values", status=Exit.FAILED_HOSTS)
    assert values.stderr == line


async def test_a_note_that_is_not_kept_is_told(environ, tmp_path):
    file = tmp_path / "noted.sh"
    file.write_text("echo 1\n")
    save = ("script", "save", "cli-noted", "-f", str(file), "--note")
    await said(environ, *save, "first", "--new")
    again = await said(environ, *save, "second")
    assert "version 1 has this text already, so there is no new one; the note was not kept" in again.stderr
    assert "note was not kept" not in (await said(environ, *save, "first")).stderr
    file.write_text("echo 2\n")
    assert "note was not kept" not in (await said(environ, *save, "third")).stderr
