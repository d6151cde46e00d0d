"""Variables at every scope come to files for real hosts in real groups, over HTTP and the command line."""

import json

from tests.e2e.command_line import drover, environment
from tests.plane import Plane

TEMPLATE = "region = {{ region.id }}\nlisten-ip = {{ inventory_hostname }}\nfile_ulimit = {{ global.file_ulimit }}\n{{ host.hostname }}"


async def good(plane: Plane, path: str, body=None):
    status, said = await plane.api("GET" if body is None else "POST", path, body)
    assert status in {200, 201}, said
    return said


async def test_one_template_on_three_hosts(plane: Plane, tmp_path):
    hosts = await plane.hosts()
    js, other, bj = (hosts[name] for name in ("js-1", "js-2", "bj-1"))
    await good(
        plane, "/groups", {"name": "rendered", "number": 10, "expression": 'hostname = "js-2" or hostname = "bj-1"'}
    )
    for scope, text in (
        ("group:global", "region: {id: 0}\nfile_ulimit: 65535\nkey: !secret hunter2\n"),
        ("group:idc:js", "region: {id: 7001}\nfile_ulimit: 1\n"),
        ("group:rendered", "region: {id: 7002}\n"),
        (f"host:{bj}", "region: {id: 7003}\n"),
    ):
        await good(plane, f"/variables/{scope}", {"text": text, "why": "a test"})
    await good(plane, "/templates/server.conf", {"text": TEMPLATE})
    asked = (js, other, bj)
    said = await good(plane, "/templates/server.conf/render", {"hosts": asked})
    ips = {each: (await good(plane, f"/hosts/{each}"))["ips"][0] for each in asked}
    assert {each["host"]: each["text"] for each in said["hosts"]} == {
        host: f"region = {region}\nlisten-ip = {ips[host]}\nfile_ulimit = 65535\n{name}"
        for host, region, name in ((js, 7001, "js-1"), (other, 7002, "js-2"), (bj, 7003, "bj-1"))
    }
    effective = await good(plane, "/effective-variables", {"hosts": [bj], "explain": True, "keys": ["region"]})
    told = effective["hosts"][0]["explained"]["region.id"]
    assert (told["origin"]["scope"], [each["origin"]["scope"] for each in told["hid"]]) == (
        f"host:{bj}",
        ["group:rendered", "group:global"],
    )
    blast = await good(plane, "/variables/group:rendered/preview", {"text": "region: {id: 8}"})
    assert (blast["members"], [each["host"] for each in blast["hosts"]]) == (2, [other])
    assert [each["name"] for each in blast["templates"]] == ["server.conf"]
    environ = environment(plane, tmp_path)
    explained = await drover(environ, "var", "explain", "region.id", "--host", "bj-1")
    assert f"host:{bj} revision 1" in explained.stdout, explained.stderr
    shown = await drover(environ, "var", "effective", "js-2", "-o", "json")
    assert "hunter2" not in shown.stdout
    assert json.loads(shown.stdout)["hosts"][0]["flat"]["region.id"] == 7002
    rendered = await drover(environ, "template", "render", "server.conf", "js-1")
    assert rendered.stdout.startswith("region = 7001\n"), rendered.stderr
