"""A CMDB that is asked over HTTP: a real server, every kind of paging, and what goes wrong with such servers."""

import asyncio
import contextlib
import json

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from contracts import imports, sources
from contracts.errors import Conflict, Invalid, NotFound
from contracts.imports import ImportRef, ImportState, OnVanished, Rules
from contracts.sources import (
    ListSources,
    Paging,
    PutSource,
    RunSource,
    SourceAuth,
    SourceMapping,
    SourceRef,
)
from runtime.mongo import now
from tests.resources.conftest import service
from tests.resources.test_imports import applied, counts, ended, known
from tests.servers import until

COLUMNS = {"name": "hostname", "net.ip": "ips", "site": "idc"}
TOKEN = "s3cr3t-of-the-cmdb"

NO_JSON = {
    "text": "<html>",
    "twice": '{"data": {"items": []}, "data": {"items": []}}',
    "deep": "[" * 100_000,
}


def machines(count):
    return [{"name": f"web-{n}", "net": {"ip": f"10.0.0.{n}"}, "site": "js", "junk": [n]} for n in range(1, count + 1)]


class Cmdb:
    """Answers with its machines, so many on a page, in every way of paging."""

    def __init__(self):
        self.machines = machines(5)
        self.asked = []
        self.url = ""
        self.goes_on = asyncio.Event()

    def slice(self, start):
        return self.machines[start : start + 2]

    async def by_page(self, request):
        self.asked.append(request)
        number = int(request.query["page"])
        return web.json_response({"data": {"items": self.slice((number - 1) * 2)}})

    async def by_cursor(self, request):
        start = int(request.query.get("cursor", 0))
        more = start + 2 if start + 2 < len(self.machines) else None
        return web.json_response({"data": {"items": self.slice(start)}, "meta": {"next": more}})

    async def by_link(self, request):
        start = int(request.query.get("from", 0))
        more = f"/link?from={start + 2}" if start + 2 < len(self.machines) else ""
        headers = {"Link": f'<{more}>; rel="next"'} if more else {}
        return web.json_response({"data": {"items": self.slice(start)}, "links": {"next": more}}, headers=headers)

    async def whole(self, request):
        if request.headers.get("X-Key", request.headers.get("Authorization", "")) not in {TOKEN, f"Bearer {TOKEN}"}:
            raise web.HTTPUnauthorized
        return web.json_response(self.machines)

    async def slow(self, request):
        self.asked.append(request)
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"[")
        await self.goes_on.wait()
        await answer.write(json.dumps(self.machines)[1:].encode())
        return answer

    async def wrong(self, request):
        match request.match_info["how"]:
            case "redirect":
                raise web.HTTPFound("/page?page=1")
            case "text" | "twice" | "deep" as how:
                return web.Response(text=NO_JSON[how])
            case "object":
                return web.json_response({"data": 1})
            case "large":
                return web.Response(text=json.dumps(["x" * 9_000_000]))
            case "error":
                raise web.HTTPInternalServerError
            case "away":
                return web.json_response({"data": {"items": []}, "links": {"next": "http://127.0.0.1:1/x"}})
        return web.json_response({"data": {"items": self.machines}, "links": {"next": "/wrong/circle"}})

    @contextlib.asynccontextmanager
    async def serving(self):
        app = web.Application()
        app.router.add_get("/page", self.by_page)
        app.router.add_get("/cursor", self.by_cursor)
        app.router.add_get("/link", self.by_link)
        app.router.add_get("/whole", self.whole)
        app.router.add_get("/slow", self.slow)
        app.router.add_get("/wrong/{how}", self.wrong)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()


@pytest_asyncio.fixture
async def cmdb():
    async with Cmdb().serving() as server:
        yield server


@pytest_asyncio.fixture(scope="module")
async def plane(nats, mongo):
    async with service(nats, mongo.url, source_hosts="127.0.0.1,cmdb.example:8443") as asker:
        yield asker


def source(cmdb, path, *, rules=None, every_s=0, secret=None, **mapping):
    rows = mapping.pop("rows", "data.items")
    return PutSource(
        name="cmdb",
        mapping=SourceMapping(url=cmdb.url + path, rows=rows, **mapping),
        rules=rules or Rules(columns=COLUMNS),
        every_s=every_s,
        secret=secret,
    )


async def asked(ask, request, *, dry_run=False):
    await ask(sources.put_source, request)
    begun = await ask(sources.run_source, RunSource(name="cmdb", dry_run=dry_run))
    return await finished(ask, begun.id)


async def finished(ask, name):
    async def is_so():
        return (await ask(imports.show_import, ImportRef(id=name))).ended_at is not None

    await until(is_so, "the import has ended")
    return await ended(ask, name)


@pytest.mark.parametrize(
    ("path", "mapping"),
    [
        ("/page", {"paging": Paging.PAGE}),
        ("/cursor", {"paging": Paging.CURSOR, "parameter": "cursor", "next": "meta.next"}),
        ("/link", {"paging": Paging.LINK, "next": "links.next"}),
        ("/link", {"paging": Paging.LINK}),
    ],
)
async def test_all_pages_are_read_however_they_continue(ask, cmdb, path, mapping):
    planned = await asked(ask, source(cmdb, path, **mapping), dry_run=True)
    assert (planned.state, counts(planned)) == (ImportState.PLANNED, {"rows": 5, "new": 5}), planned.message
    done = await asked(ask, source(cmdb, path, **mapping))
    assert (done.state, counts(done)) == (ImportState.APPLIED, {"rows": 5, "new": 5, "done": 5}), done.message
    found = await known(ask)
    assert (found["web-5"].ips, found["web-5"].idc) == (("10.0.0.5",), "js")
    assert counts(await asked(ask, source(cmdb, path, **mapping))) == {"rows": 5, "unchanged": 5}


@pytest.mark.parametrize("secret", [None, ""])
async def test_who_would_be_asked_without_the_secret_that_it_wants_is_refused(ask, cmdb, secret):
    wanted = source(cmdb, "/whole", rows="", secret=secret, auth=SourceAuth.BEARER)
    with pytest.raises(Invalid, match="none is known") as told:
        await ask(sources.put_source, wanted)
    assert told.value.reason == "source.secret_missing"
    with pytest.raises(NotFound):
        await ask(sources.show_source, SourceRef(name="cmdb"))


@pytest.mark.parametrize("auth", [{"auth": SourceAuth.BEARER}, {"auth": SourceAuth.HEADER, "header": "X-Key"}])
async def test_the_secret_is_sent_kept_closed_and_never_shown(ask, cmdb, auth):
    wanted = source(cmdb, "/whole", rows="", secret=TOKEN, **auth)
    done = await asked(ask, wanted)
    assert counts(done) == {"rows": 5, "new": 5, "done": 5}, done.message
    shown = await ask(sources.show_source, SourceRef(name="cmdb"))
    assert (shown.has_secret, shown.last_import, TOKEN in repr(shown)) == (True, done.id, False)
    assert TOKEN.encode() not in bytes((await ask.database["sources"].find_one({}))["secret"])
    again = await ask(sources.put_source, msgspec.structs.replace(wanted, secret=None))
    assert again.has_secret, "what is not given stays"
    elsewhere = msgspec.structs.replace(wanted.mapping, url="http://127.0.0.1:1/whole")
    with pytest.raises(Invalid) as told:
        await ask(sources.put_source, msgspec.structs.replace(wanted, secret=None, mapping=elsewhere))
    assert told.value.reason == "source.secret_missing", "a secret goes to the server that it was given for"


@pytest.mark.parametrize(
    ("how", "mapping"),
    [
        ("redirect", {}),
        ("text", {}),
        ("twice", {}),
        ("deep", {}),
        ("object", {}),
        ("large", {"rows": ""}),
        ("error", {}),
        ("away", {"paging": Paging.LINK, "next": "links.next"}),
        ("circle", {"paging": Paging.LINK, "next": "links.next"}),
    ],
)
async def test_an_answer_that_is_wrong_changes_nothing(ask, cmdb, how, mapping):
    done = await asked(ask, source(cmdb, f"/wrong/{how}", **mapping))
    assert (done.state, done.reason) == (ImportState.FAILED, "source.bad_answer"), done.message
    assert await known(ask) == {}


async def test_a_source_that_is_away_says_so(ask, cmdb):
    cmdb.url = "http://127.0.0.1:1"
    done = await asked(ask, source(cmdb, "/x"))
    assert (done.state, done.reason) == (ImportState.FAILED, "source.no_answer")


async def test_a_source_is_asked_when_its_time_has_come_by_one_instance(ask, cmdb):
    wanted = source(cmdb, "/page", paging=Paging.PAGE, every_s=3600)
    await ask(sources.put_source, wanted)
    await ask.database["sources"].update_one({"_id": "cmdb"}, {"$set": {"next_at": now()}})

    async def was_asked():
        found = await ask(sources.show_source, SourceRef(name="cmdb"))
        return found.last_import and (await ask(imports.show_import, ImportRef(id=found.last_import))).ended_at

    await until(was_asked, "its time has come")
    shown = await ask(sources.show_source, SourceRef(name="cmdb"))
    done = await ask(imports.show_import, ImportRef(id=shown.last_import))
    assert (done.by, counts(done)) == ("source cmdb", {"rows": 5, "new": 5, "done": 5})
    assert shown.next_at > now()
    assert len(cmdb.asked) == 4, "three pages and an empty one, once"


async def test_what_is_gone_from_the_source_is_marked(ask, cmdb):
    rules = Rules(columns=COLUMNS, vanished=OnVanished.RETIRE, most_vanished_percent=50)
    wanted = source(cmdb, "/page", paging=Paging.PAGE, rules=rules)
    await asked(ask, wanted)
    cmdb.machines = machines(4)
    assert counts(await asked(ask, wanted)) == {"rows": 4, "unchanged": 4, "vanished": 1, "done": 1}
    assert (await known(ask))["web-5"].state == "retired"
    cmdb.machines = []
    assert (await asked(ask, wanted)).reason == "import.vanished_too_many"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.2/x", "source.not_allowed"),
        ("http://localhost/x", "source.not_allowed"),
        ("http://169.254.169.254/latest", "source.not_allowed"),
        ("http://[::ffff:127.0.0.1]/x", "source.not_allowed"),
        ("http://0x7f.1/x", "source.not_allowed"),
        ("http://cmdb.example/x", "source.not_allowed"),
        ("https://cmdb.example:8443@evil.example/x", "source.bad_address"),
        ("http://ann:pw@127.0.0.1/x", "source.bad_address"),
        ("file:///etc/passwd", "source.bad_address"),
        ("gopher://127.0.0.1/x", "source.bad_address"),
        ("http://", "source.bad_address"),
        ("http://127.0.0.1:99999/x", "source.bad_address"),
        ("//127.0.0.1/x", "source.bad_address"),
        ("not an address", "source.bad_address"),
    ],
)
async def test_only_hosts_that_the_settings_allow_are_asked(ask, url, reason):
    with pytest.raises(Invalid) as told:
        await ask(sources.put_source, PutSource(name="cmdb", mapping=SourceMapping(url=url)))
    assert told.value.reason == reason


async def test_sources_are_listed_and_changed_by_revision(ask, cmdb):
    wanted = source(cmdb, "/page", paging=Paging.PAGE)
    first = await ask(sources.put_source, wanted)
    assert (first.revision, first.rules.source, first.next_at) == (1, "cmdb", None)
    second = await ask(sources.put_source, msgspec.structs.replace(wanted, revision=1, every_s=60))
    assert (second.revision, second.every_s) == (2, 60)
    with pytest.raises(Conflict) as told:
        await ask(sources.put_source, msgspec.structs.replace(wanted, revision=1))
    assert told.value.reason == "source.changed_meanwhile"
    assert [each.name for each in (await ask(sources.list_sources, ListSources())).sources] == ["cmdb"]
    for call, request in ((sources.show_source, SourceRef(name="x")), (sources.run_source, RunSource(name="x"))):
        with pytest.raises(NotFound):
            await ask(call, request)
    allowed = SourceMapping(url="https://cmdb.example:8443/x")
    for request in (
        msgspec.structs.replace(wanted, every_s=59),
        PutSource(name="x", mapping=msgspec.structs.replace(allowed, auth=SourceAuth.HEADER)),
        PutSource(name="x", mapping=msgspec.structs.replace(allowed, paging=Paging.CURSOR)),
    ):
        with pytest.raises(Invalid):
            await ask(sources.put_source, request)


@pytest.mark.parametrize(
    ("secret", "header", "reason"),
    [
        ("one\r\nX-Two: 2", "X-Key", "source.bad_secret"),
        ("one\n", "X-Key", "source.bad_secret"),
        ("a\x07b", "X-Key", "source.bad_secret"),
        ("one", "Content-Length", "source.bad_mapping"),
        ("one", "host", "source.bad_mapping"),
    ],
)
async def test_a_secret_that_no_header_can_carry_is_refused_when_it_is_saved(ask, cmdb, secret, header, reason):
    wanted = source(cmdb, "/whole", rows="", secret=secret, auth=SourceAuth.HEADER, header=header)
    with pytest.raises(Invalid) as told:
        await ask(sources.put_source, wanted)
    assert told.value.reason == reason


async def test_a_secret_that_was_kept_before_it_was_refused_fails_with_its_reason(ask, cmdb):
    wanted = source(cmdb, "/whole", rows="", secret=TOKEN, auth=SourceAuth.HEADER, header="X-Key")
    await ask(sources.put_source, wanted)
    await ask.database["sources"].update_one({"_id": "cmdb"}, {"$set": {"mapping.header": "Transfer-Encoding"}})
    begun = await ask(sources.run_source, RunSource(name="cmdb"))
    assert (await finished(ask, begun.id)).reason == "source.bad_mapping"


async def test_a_slow_source_holds_up_no_other_and_no_upload_and_is_asked_once(ask, cmdb):
    slow = msgspec.structs.replace(source(cmdb, "/slow", rows=""), name="slow")
    await ask(sources.put_source, slow)
    first, second = [await ask(sources.run_source, RunSource(name="slow")) for _ in range(2)]
    await until(lambda: len(cmdb.asked) == 1, "the slow source is asked")
    assert counts(await applied(ask, "hostname,idc\nuploaded,js\n")) == {"rows": 1, "new": 1, "done": 1}
    assert counts(await asked(ask, source(cmdb, "/link", paging=Paging.LINK))) == {"rows": 5, "new": 5, "done": 5}
    for each in (first, second):
        assert (await ask(imports.show_import, ImportRef(id=each.id))).state is ImportState.FETCHING
    assert len(cmdb.asked) == 1, "by one instance, and for one import after the other"
    cmdb.goes_on.set()
    for each in (first, second):
        assert counts(await finished(ask, each.id)) == {"rows": 5, "unchanged": 5}
    assert len(cmdb.asked) == 2
