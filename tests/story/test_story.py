"""From two lists of machines to a run that anybody can account for, over HTTP alone.

1,000 hosts come from a CSV file and 1,000 from a CMDB; they are arranged, grouped, given variables at every scope; a
template and a stored script get the right values of three real hosts; and all of it is in the audit trail.
"""

import getpass
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest_asyncio
from aiohttp import web

from tests.plane import Plane, whole_plane
from tests.servers import until

COUNT = 1000
PAGE = 200
SECRET = "cmdb-secret-of-the-story"
OPERATOR = "olga"
AGENTS = (("js-1", "js"), ("js-2", "js"), ("bj-1", "bj"))


@dataclass
class Cmdb:
    """What the company keeps elsewhere: pages of machines, for whoever has the token."""

    machines: list[dict[str, Any]] = field(default_factory=list)

    async def machines_page(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {SECRET}":
            raise web.HTTPUnauthorized
        start = (int(request.query["page"]) - 1) * PAGE
        return web.json_response({"data": {"items": self.machines[start : start + PAGE]}})


@pytest_asyncio.fixture(scope="module")
async def cmdb() -> AsyncIterator[tuple[Cmdb, str]]:
    """A real server; and where it is."""
    known = Cmdb(
        [
            {"name": f"vm-{n}", "asset": f"A-{n}", "net": {"ip": f"10.9.{n // 250}.{n % 250 + 1}"}, "site": "bj"}
            for n in range(COUNT)
        ]
    )
    app = web.Application()
    app.add_routes([web.get("/machines", known.machines_page)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield known, f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest_asyncio.fixture(scope="module")
async def story_plane(tmp_path_factory) -> AsyncIterator[Plane]:
    """With three agents, and 2,000 hosts that have none yet; so it is nobody else's."""
    folder: Path = tmp_path_factory.mktemp("story")
    async with whole_plane(folder) as plane:
        await plane.add_agents({idc: [one for one in AGENTS if one[1] == idc] for idc in ("js", "bj")})
        yield plane


async def good(plane: Plane, method: str, path: str, body: Any = None, *, token: str = "") -> Any:
    status, said = await plane.api(method, path, body, token=token)
    assert status in {200, 201}, (path, status, said)
    return said


async def imported(plane: Plane, started: Any) -> Any:
    """The import once it has been applied."""
    shown = started

    async def ended() -> bool:
        nonlocal shown
        shown = await good(plane, "GET", f"/imports/{started['id']}")
        return shown["state"] in {"applied", "planned", "failed"}

    await until(ended, f"import {started['id']} ends", 120)
    return shown


def csv() -> str:
    rows = [f"db-{n},10.8.{n // 250}.{n % 250 + 1},js,shop,db,r{n % 20}" for n in range(COUNT)]
    return "\n".join(["hostname,ips,idc,business,product_line,rack", *rows]) + "\n"


async def import_both(plane: Plane, address: str) -> None:
    rules = {"source": "csv", "make_places": True}
    first = await good(plane, "POST", "/imports", {"format": "csv", "rules": rules, "text": csv()})
    planned = await imported(plane, await good(plane, "POST", f"/imports/{first['id']}/plan", {}))
    assert (planned["state"], planned["counts"]["new"], planned["counts"]["done"]) == ("planned", COUNT, 0)
    applied = await imported(plane, await good(plane, "POST", f"/imports/{first['id']}/apply", {}))
    assert (applied["state"], applied["counts"]["done"]) == ("applied", COUNT), applied
    mapping = {"url": f"http://{address}/machines", "auth": "bearer", "rows": "data.items", "paging": "page"}
    columns = {"name": "hostname", "asset": "asset_id", "net.ip": "ips", "site": "idc"}
    source = {"name": "cmdb", "mapping": mapping, "secret": SECRET, "rules": {"columns": columns}}
    assert SECRET not in str(await good(plane, "POST", "/sources", source))
    second = await imported(plane, await good(plane, "POST", "/sources/cmdb/run", {}))
    assert (second["state"], second["counts"]["new"], second["counts"]["done"]) == ("applied", COUNT, COUNT), second
    again = await imported(plane, await good(plane, "POST", "/sources/cmdb/run", {}))
    assert (again["counts"]["unchanged"], again["counts"]["done"]) == (COUNT, 0), again


async def arrange(plane: Plane, ids: dict[str, str]) -> None:
    """A set for two real hosts, a business for all three; groups of every kind."""
    for kind, path in (("set", "blue"), ("business", "shop"), ("product_line", "shop/web")):
        status, said = await plane.api("POST", "/places", {"kind": kind, "path": path})
        assert status in {201, 409}, said  # the import has made the business
    edit = {"filter": {"ids": list(ids.values())}, "business": "shop", "product_line": "web"}
    done = await good(plane, "POST", "/hosts/edit", edit)
    assert [each["outcome"] for each in done["hosts"]] == ["changed"] * len(ids), done
    for name in ("js-1", "js-2"):
        await good(plane, "POST", f"/hosts/{ids[name]}", {"host_set": "blue"})
    web_group = {
        "name": "web",
        "number": 10,
        "expression": 'business = "shop" and product_line = "web" and idc in ("js", "bj")',
    }
    await good(plane, "POST", "/groups", web_group)
    await good(plane, "POST", "/groups", {"name": "live", "groups": ["web"]})
    members = await good(plane, "GET", "/groups/live/members?limit=10")
    assert {each["id"] for each in members["hosts"]} == set(ids.values()), members


async def set_variables(plane: Plane, ids: dict[str, str]) -> None:
    documents = {
        "group:global": "file_ulimit: 65535\nregion: {id: 1, name: everywhere}\n",
        "group:idc:bj": "region: {id: 2, dns: bj.example}\n",
        "group:set:blue": "region: {id: 3}\n",
        "group:web": "region: {port: 8080}\n",
        f"host:{ids['js-1']}": "region: {id: 5}\n",
    }
    for scope, text in documents.items():
        path = f"/variables/{scope}"
        before = await good(plane, "POST", f"{path}/preview", {"text": text})
        assert before["hosts_changed"] >= 1, (scope, before)
        await good(plane, "POST", path, {"text": text, "why": "the story"})


TEMPLATE = """region = {{ region.id }}
listen = {{ inventory_hostname }}:{{ region.port }}
ulimit = {{ global.file_ulimit }}
"""
REGIONS = {"js-1": (5, "host"), "js-2": (3, "set"), "bj-1": (2, "idc")}
"""Host → its region, and the kind of scope that says so."""


async def check_template(plane: Plane, ids: dict[str, str]) -> None:
    await good(plane, "POST", "/templates/app.conf", {"text": TEMPLATE})
    rendered = await good(plane, "POST", "/templates/app.conf/render", {"hosts": list(ids.values())})
    texts = {each["host"]: each["text"] for each in rendered["hosts"]}
    shown = {name: await good(plane, "GET", f"/hosts/{id_}") for name, id_ in ids.items()}
    for name, (region, _) in REGIONS.items():
        ip = shown[name]["ips"][0]
        assert texts[ids[name]] == f"region = {region}\nlisten = {ip}:8080\nulimit = 65535\n", rendered
    effective = await good(plane, "POST", "/effective-variables", {"hosts": list(ids.values()), "explain": True})
    for each in effective["hosts"]:
        name = next(name for name, id_ in ids.items() if id_ == each["host"])
        explained = each["explained"]["region.id"]
        assert (explained["value"], explained["origin"]["kind"]) == REGIONS[name], explained
        assert all(hidden["value"] != explained["value"] for hidden in explained["hid"])


async def run_script(plane: Plane, token: str) -> Any:
    text = '. "$DROVER_LIB"\necho "region $(drover_var region.id) task $(drover_var release)"\n'
    await good(plane, "POST", "/scripts", {"name": "show-region", "text": text, "tags": ["story"]})
    await good(plane, "POST", "/scripts/show-region/versions/1/online", {})
    account = {"alias": "deploy", "os_user": getpass.getuser(), "people": [OPERATOR], "groups": ["web"]}
    await good(plane, "POST", "/accounts", account)
    body = {
        "stored": {"name": "show-region"},
        "targets": {"groups": ["live"]},
        "account": "deploy",
        "variables": {"release": "1.4"},
    }
    run = await good(plane, "POST", "/runs", body, token=token)
    ended = await plane.finished(run["id"])
    assert (ended["state"], ended["hosts"]) == ("succeeded", len(AGENTS)), ended
    assert (ended["stored"]["name"], ended["stored"]["version"]) == ("show-region", 1), ended
    return run


async def in_the_trail(plane: Plane, **criteria: str) -> list[Any]:
    query = "&".join(f"{name}={value}" for name, value in criteria.items())
    return (await good(plane, "GET", f"/audit?limit=200&{query}"))["entries"]


async def test_from_two_lists_of_machines_to_a_run_that_anybody_can_account_for(story_plane: Plane, cmdb):
    plane = story_plane
    operator = await plane.person(OPERATOR, ["operator"])
    ids = await plane.hosts()
    await import_both(plane, cmdb[1])
    assert len(await known_hosts(plane)) == 2 * COUNT + len(AGENTS)
    await arrange(plane, ids)
    await set_variables(plane, ids)
    await check_template(plane, ids)
    run = await run_script(plane, operator)
    output = {each["hostname"]: each["head"] for each in await plane.results(run["id"])}
    assert output == {name: f"region {region} task 1.4\n" for name, (region, _) in REGIONS.items()}

    [started] = await in_the_trail(plane, call="jobs.runs.start")
    assert (started["who"]["name"], started["outcome"], started["object"]) == (OPERATOR, "ok", run["id"]), started
    assert '"live"' in started["request"]
    for call, count in {
        "resources.imports.apply": 1,
        "resources.sources.put": 1,
        "resources.sources.run": 2,
        "resources.hosts.edit": 1,
        "resources.hosts.change": 2,
        "resources.groups.create": 2,
        "config.variables.set": 5,
        "config.templates.save": 1,
        "config.scripts.create": 1,
        "config.scripts.put_online": 1,
        "config.accounts.create": 1,
    }.items():
        found = await in_the_trail(plane, call=call)
        assert ([each["who"]["name"] for each in found], {each["outcome"] for each in found}) == (
            ["admin"] * count,
            {"ok"},
        ), (call, found)
    assert SECRET not in msgspec.json.encode(await in_the_trail(plane, call="resources.sources.put")).decode()
    verified = await plane.drover("audit", "verify")
    assert verified.returncode == 0, verified


async def known_hosts(plane: Plane) -> set[str]:
    found: set[str] = set()
    after = ""
    while True:
        page = await good(plane, "GET", f"/hosts?limit=1000&after={after}")
        found |= {host["id"] for host in page["hosts"]}
        after = page["next"]
        if not after:
            return found
