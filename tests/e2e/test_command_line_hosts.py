"""`drover` for hosts: places, attributes, changes, imports, sources, export."""

import csv
import io
import json

import pytest
from aiohttp import web

from cli.exits import Exit
from tests.e2e.command_line import drover, environment
from tests.plane import Plane


@pytest.fixture
def logged_in(plane: Plane, tmp_path) -> dict[str, str]:
    return environment(plane, tmp_path)


async def good(logged_in, *arguments, stdin=""):
    said = await drover(logged_in, *arguments, stdin=stdin)
    assert said.returncode == Exit.SUCCEEDED, (arguments, said.stderr)
    return said


async def test_hosts_are_put_into_places_and_their_changes_are_remembered(logged_in):
    await good(logged_in, "topology", "create", "product_line", "games/mobile")
    await good(logged_in, "topology", "create", "set", "blue", "--description", "first half")
    await good(logged_in, "attribute", "declare", "slots", "integer")
    listed = await good(logged_in, "topology", "list", "--kind", "product_line", "-o", "name")
    assert listed.stdout == "games/mobile\n"
    change = ("host", "change", "js-1", "js-2", "--business", "games", "--line", "mobile", "--attribute", "slots=4")
    planned = await good(logged_in, *change, "--dry-run")
    assert "business: nothing → games" in planned.stdout
    assert planned.stderr.endswith("2 of 2 hosts would change\n")
    changed = await good(logged_in, *change, "--add-tag", "t1", "--set", "blue", "--label", "env=test")
    assert changed.stderr.endswith("2 of 2 hosts changed\n")
    shown = json.loads((await good(logged_in, "host", "show", "js-1", "-o", "json")).stdout)
    assert (shown["product_line"], shown["attributes"], shown["host_set"]) == ("mobile", {"slots": 4}, "blue")
    history = (await good(logged_in, "host", "history", "js-1")).stdout
    assert "attributes.slots: nothing → 4" in history
    origins = (await good(logged_in, "host", "origins", "js-1")).stdout
    assert "person admin" in origins
    assert "agent" in origins
    wrong = await drover(logged_in, "host", "change", "tag=t1", "--set", "bleu")
    assert (wrong.returncode, "Near it: blue" in wrong.stdout) == (Exit.FAILED_HOSTS, True)
    assert "hosts        2" in (await good(logged_in, "topology", "show", "set", "blue")).stdout
    refused = await drover(logged_in, "topology", "delete", "set", "blue")
    assert (refused.returncode, "place.in_use" in refused.stderr) == (Exit.REFUSED, True)
    await good(logged_in, "host", "change", "tag=t1", "--set", "", "--remove-attribute", "slots")
    back = ("--business", "", "--line", "", "--remove-tag", "t1", "--remove-label", "env")
    await good(logged_in, "host", "change", "tag=t1", *back)
    await good(logged_in, "topology", "describe", "set", "blue", "old")
    await good(logged_in, "topology", "delete", "set", "blue")
    await good(logged_in, "attribute", "change", "slots", "--description", "how many")
    assert "slots" in (await good(logged_in, "attribute", "list")).stdout
    await good(logged_in, "attribute", "delete", "slots")


async def test_a_file_is_compared_then_applied_and_comes_out_as_it_went_in(logged_in, tmp_path):
    await good(logged_in, "topology", "create", "idc", "lab")
    file = tmp_path / "hosts.csv"
    file.write_text("Name,ips,idc,tags,labels.note\nnew-1,10.9.0.1,lab,imp,'=1+1\nnew-2,10.9.0.2,lab,imp,-x\n")
    asked = ("import", "file", str(file), "--column", "Name=hostname", "--source", "file")
    planned = await good(logged_in, *asked)
    assert "2 rows, 2 new" in planned.stderr
    name = planned.stderr.split()[1]
    applied = await good(logged_in, "import", "apply", name)
    assert "2 new, 2 done" in applied.stderr
    assert "2 unchanged" in (await good(logged_in, *asked, "--apply")).stderr
    exported = (await good(logged_in, "host", "export", "--tag", "imp")).stdout
    rows = {row["hostname"]: row for row in csv.DictReader(io.StringIO(exported))}
    assert {name: row["labels.note"] for name, row in rows.items()} == {"new-1": "'=1+1", "new-2": "'-x"}
    again = await good(logged_in, "import", "file", "-", "--source", "file", stdin=exported)
    assert "2 unchanged" in again.stderr
    bad = await drover(logged_in, "import", "file", "-", "--apply", stdin="hostname,idc\nbad name,js\n")
    assert (bad.returncode, "is no host name" in bad.stdout) == (Exit.FAILED_HOSTS, True)
    failed = await drover(logged_in, "import", "file", "-", stdin="what\nx\n")
    assert (failed.returncode, "import.unknown_column" in failed.stderr) == (Exit.REFUSED, True)
    assert "file" in (await good(logged_in, "import", "list", "--source", "file")).stdout
    rejected = json.loads((await good(logged_in, "import", "show", name, "-o", "json")).stdout)
    assert [row["outcome"] for row in rejected["rows"]] == ["new", "new"]
    await good(logged_in, "host", "change", "idc=lab", "--state", "retired")


async def test_a_source_is_defined_and_asked(logged_in):
    await good(logged_in, "topology", "create", "idc", "lab2")

    async def answer(request):
        assert request.headers["Authorization"] == "Bearer s3cr3t"
        return web.json_response({"items": [{"fqdn": "cm-1", "net": {"ip": "10.8.0.1"}}]})

    app = web.Application()
    app.router.add_get("/hosts", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/hosts"
        columns = ("--column", "fqdn=hostname", "--column", "net.ip=ips", "--default", "idc=lab2")
        secret = ("--auth", "bearer", "--secret-file", "-")
        await good(logged_in, "source", "put", "cmdb", url, "--rows", "items", *columns, *secret, stdin="s3cr3t\n")
        assert "1 new" in (await good(logged_in, "source", "run", "cmdb", "--dry-run")).stderr
        assert "1 done" in (await good(logged_in, "source", "run", "cmdb")).stderr
        assert "s3cr3t" not in (await good(logged_in, "source", "show", "cmdb")).stdout
        assert url in (await good(logged_in, "source", "list")).stdout
        await good(logged_in, "host", "change", "cm-1", "--state", "retired")
    finally:
        await runner.cleanup()
