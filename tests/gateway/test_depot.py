"""Bytes in and out of the depot, over HTTP, with a real config service behind."""

import asyncio
import hashlib
import io
import os
import secrets
import tarfile

import aiohttp
import pytest
import pytest_asyncio

from services.config.app import running as config_running
from services.config.settings import Settings as ConfigSettings
from services.gateway.app import running
from tests.gateway.client import Client
from tests.gateway.conftest import settings
from tests.servers import nats_plane, until


@pytest_asyncio.fixture(scope="module")
async def own_nats(tmp_path_factory):
    """Other tests stand in for the config service on the shared one."""
    async with nats_plane(tmp_path_factory.mktemp("depot-nats"), idcs=()) as plane:
        yield plane


@pytest_asyncio.fixture(scope="module")
async def config(own_nats, mongo):
    set_up = ConfigSettings(
        nats_url=(own_nats.hub_url,),
        nats_credentials=own_nats.trust.credentials("config"),
        nats_ca=own_nats.trust.ca,
        mongo_url=mongo.url,
        mongo_database=f"config-{secrets.token_hex(4)}",
        secrets_key=own_nats.trust.config_at_rest_key.read_text(),
    )
    async with config_running(set_up) as bus:
        yield bus


@pytest.fixture(scope="module")
def depot(tmp_path_factory):
    return tmp_path_factory.mktemp("depot")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("root")


@pytest_asyncio.fixture(scope="module")
async def place(own_nats, mongo, config, depot, root):
    """Addresses of the gateway with the depot and of one without, which share people."""
    known = {"mongo_database": f"gateway-{secrets.token_hex(4)}", "depot_roots": (str(root),)}
    with_depot = settings(own_nats, mongo, **known, depot=depot, upload_limit_bytes=50_000_000)
    async with running(with_depot) as address:
        without = settings(own_nats, mongo, mongo_database=known["mongo_database"], depot_at=address)
        async with running(without) as other:
            yield address, other


async def logged_in(address):
    client = Client(address)
    assert (await client.log_in()).status == 200
    return client


@pytest_asyncio.fixture(scope="module")
async def token(place):
    async with await logged_in(place[0]) as client:
        return (await client.post("/tokens", {"label": "depot"})).json["secret"]


@pytest_asyncio.fixture(params=[0, 1], ids=["here", "passed on"])
async def client(place, token, request):
    async with Client(place[request.param], token=token) as made:
        yield made


@pytest.fixture
def name():
    return f"app-{secrets.token_hex(4)}.bin"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


async def begun(client, name, data, **more):
    answer = await client.post("/uploads", {"name": name, "size": len(data), "sha256": sha256(data), **more})
    assert answer.status == 201, answer.body
    return answer.json


async def sent(client, upload, data, offset=0):
    return await client.send("PUT", f"/uploads/{upload['id']}", params={"offset": offset}, data=data)


async def uploaded(client, name, data, **more):
    upload = await begun(client, name, data, **more)
    if upload["offset"] < len(data):
        assert (await sent(client, upload, data[upload["offset"] :], upload["offset"])).status == 200
    return await client.post(f"/uploads/{upload['id']}/complete")


async def content(client, name, **query):
    return await client.get(f"/files/{name}/content", params=query)


async def test_what_goes_in_comes_out(client, name, depot):
    data = os.urandom(900_000)
    done = await uploaded(client, name, data, note="first")
    assert done.status == 201
    newest = done.json["newest"]
    assert (newest["number"], newest["size"], newest["note"], newest["by"]) == (1, len(data), "first", "admin")
    assert (newest["sha256"], newest["md5"]) == (sha256(data), hashlib.md5(data, usedforsecurity=False).hexdigest())
    assert (depot / newest["path"]).read_bytes() == data
    answer = await content(client, name)
    assert (answer.status, answer.body) == (200, data)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    part = await client.get(f"/files/{name}/content", headers={"Range": "bytes=1000-1999"})
    assert (part.status, part.body) == (206, data[1000:2000])
    assert not list((depot / "uploads").iterdir())


async def test_an_upload_that_was_broken_off_goes_on_where_it_stopped(client, name):
    data = os.urandom(300_000)
    upload = await begun(client, name, data)

    async def breaking():
        yield data[:100_000]
        await until_there(client, upload, 100_000)
        raise aiohttp.ClientError

    with pytest.raises(aiohttp.ClientError):
        await sent(client, upload, breaking())
    again = await begun(client, name, data)
    assert (again["id"], again["offset"]) == (upload["id"], 100_000)
    early = await client.post(f"/uploads/{upload['id']}/complete")
    assert (early.status, early.reason) == (409, "file.incomplete")
    wrong = await sent(client, upload, b"x", 0)
    assert (wrong.status, wrong.reason, wrong.json["details"]) == (409, "file.wrong_offset", {"offset": 100_000})
    assert (await sent(client, upload, data[100_000:], 100_000)).json["offset"] == len(data)
    assert (await client.post(f"/uploads/{upload['id']}/complete")).status == 201
    assert (await content(client, name)).body == data


async def until_there(client, upload, offset):
    async def there():
        return (await client.get(f"/uploads/{upload['id']}")).json["offset"] >= offset

    await until(there, f"{offset} bytes are there")


async def test_content_that_is_there_already_is_not_sent_again(client, name):
    data = os.urandom(50_000)
    await uploaded(client, name, data)
    upload = await begun(client, f"second-{name}", data)
    assert upload["offset"] == len(data)
    assert (await client.post(f"/uploads/{upload['id']}/complete")).status == 201
    assert (await content(client, f"second-{name}")).body == data


async def test_two_gateways_may_not_write_one_upload_at_once(client, name):
    data = os.urandom(200_000)
    upload = await begun(client, name, data)
    going = asyncio.Event()

    async def slow():
        yield data[:100_000]
        await going.wait()
        yield data[100_000:]

    first = asyncio.create_task(sent(client, upload, slow()))
    await until_there(client, upload, 100_000)
    second = await sent(client, upload, data[100_000:], 100_000)
    assert (second.status, second.reason) == (409, "file.upload_busy")
    going.set()
    assert (await first).json["offset"] == len(data)
    assert (await client.delete(f"/uploads/{upload['id']}")).status == 200
    assert (await client.get(f"/uploads/{upload['id']}")).reason == "file.upload_unknown"


async def test_what_is_not_what_was_announced_is_refused_and_gone(client, name):
    upload = await begun(client, name, b"right")
    assert (await sent(client, upload, b"wrong")).status == 200
    refused = await client.post(f"/uploads/{upload['id']}/complete")
    assert (refused.status, refused.reason) == (422, "file.hash_mismatch")
    assert (await client.get(f"/uploads/{upload['id']}")).status == 404
    upload = await begun(client, name, b"right")
    assert (await sent(client, upload, b"right and more")).reason == "file.too_long"
    assert (await client.get(f"/files/{name}")).reason == "file.unknown"


async def test_bad_requests_are_refused_in_words(client, name):
    good = {"name": name, "size": 1, "sha256": "a" * 64}
    for bad, reason in (
        ({"name": "../x"}, "bus.malformed"),
        ({"sha256": "A" * 64}, "bus.malformed"),
        ({"size": -1}, "bus.malformed"),
        ({"size": 50_000_001}, "file.too_large"),
        ({"kind": "device"}, "bus.malformed"),
        ({"owner": "root"}, "http.unknown_field"),
    ):
        answer = await client.post("/uploads", {**good, **bad})
        assert (answer.reason, answer.status >= 500) == (reason, False), bad
    assert (await client.get("/uploads/u-..")).status == 404
    assert (await client.send("PUT", "/uploads/u-" + "0" * 32, data=b"x", params={"offset": 0})).status == 404
    assert (await client.send("PUT", "/uploads/u-" + "0" * 32, data=b"x")).status == 422
    assert (await content(client, name)).reason == "file.unknown"


def folder_tar(**files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for path, text in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(text), 0o750
            made.addfile(member, io.BytesIO(text))
    return out.getvalue()


async def test_a_folder_keeps_its_files_and_modes(client, name, depot):
    done = await uploaded(
        client, name, folder_tar(**{"bin/run": b"#!/bin/sh", "bin/same": b"#!/bin/sh", "x": b""}), kind="folder"
    )
    assert done.status == 201, done.body
    assert (done.json["newest"]["entries"], done.json["newest"]["size"]) == (3, 18)
    page = (await client.get(f"/files/{name}/entries", params={"limit": 2})).json
    assert [(each["path"], each.get("mode")) for each in page["entries"]] == [("bin/run", 0o750), ("bin/same", 0o750)]
    rest = (await client.get(f"/files/{name}/entries", params={"limit": 2, "after": page["next"]})).json
    assert [each["path"] for each in rest["entries"]] == ["x"]
    assert (await content(client, name, entry="bin/run")).body == b"#!/bin/sh"
    assert (await content(client, name)).reason == "file.is_folder"
    assert (await content(client, name, entry="../../etc/passwd")).reason == "file.entry_unknown"
    # The same folder again is the same content, however its tar file was made.
    again = await uploaded(
        client, name, folder_tar(**{"x": b"", "bin/same": b"#!/bin/sh", "bin/run": b"#!/bin/sh"}), kind="folder"
    )
    assert again.json["newest"]["number"] == 1


async def test_an_archive_is_looked_into(client, name):
    data = folder_tar(**{"a/b": b"hello"})
    assert (await uploaded(client, name, data, kind="archive")).json["newest"]["entries"] == 1
    assert [each["path"] for each in (await client.get(f"/files/{name}/entries")).json["entries"]] == ["a/b"]
    assert (await content(client, name)).body == data
    for bad in (b"no archive", folder_tar(**{"../up": b"x"})):
        refused = await uploaded(client, f"bad-{name}", bad, kind="archive")
        assert (refused.status, refused.reason) == (422, "file.archive_refused")
    assert (await client.get(f"/files/bad-{name}")).status == 404


async def test_deleting_removes_bytes_that_nobody_else_has(client, name, depot):
    shared, own = os.urandom(1000), os.urandom(1000)
    await uploaded(client, name, own)
    await uploaded(client, name, shared)
    await uploaded(client, f"dir-{name}", folder_tar(one=shared, two=b"only here " + own), kind="folder")
    blobs = {data: depot / "blobs" / sha256(data)[:2] / sha256(data) for data in (shared, own)}
    assert all(path.exists() for path in blobs.values())
    assert (await client.delete(f"/files/{name}", params={"revision": 1})).reason == "file.changed_meanwhile"
    assert (await client.delete(f"/files/{name}")).status == 200
    assert not any(path.exists() for path in blobs.values())
    assert (await content(client, f"dir-{name}", entry="one")).body == shared
    assert (await client.delete(f"/files/dir-{name}")).status == 200
    assert not (depot / "members" / sha256(shared)[:2] / sha256(shared)).exists()
    assert (await client.delete(f"/files/{name}")).reason == "file.unknown"


async def test_paths_below_a_listed_root_can_be_registered(client, name, root):
    folder = root / name
    (folder / "etc").mkdir(parents=True)
    (folder / "etc" / "a.conf").write_text("a = 1\n")
    (folder / "current").symlink_to("etc/a.conf")
    done = await client.post("/files", {"name": f"{name}-d", "kind": "folder", "path": str(folder)})
    assert done.status == 201, done.body
    assert (done.json["newest"]["source"], done.json["newest"]["origin"]) == ("path", str(folder))
    entries = (await client.get(f"/files/{name}-d/entries")).json["entries"]
    assert [(each["path"], each.get("type", "file"), each.get("target", "")) for each in entries] == [
        ("current", "link", "etc/a.conf"), ("etc", "folder", ""), ("etc/a.conf", "file", "")
    ]  # fmt: skip
    done = await client.post("/files", {"name": name, "path": str(folder / "etc" / "a.conf")})
    assert (await content(client, name)).body == b"a = 1\n"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "etc/x",
        "{root}/../etc/passwd",
        "{root}/out",
        "{root}/none",
        "{root}",
        "{root}/loop",
        "/proc/self/mem",
    ],
)
async def test_no_other_path_can_be_registered(client, name, root, path):
    (root / "out").unlink(missing_ok=True)
    (root / "out").symlink_to("/etc/passwd")
    (root / "loop").unlink(missing_ok=True)
    (root / "loop").symlink_to(root / "loop")
    refused = await client.post("/files", {"name": name, "path": path.format(root=root)})
    assert (refused.status, refused.reason) == (422, "file.path_refused"), refused.body
    assert (await client.get(f"/files/{name}")).status == 404


async def test_a_folder_that_leads_outside_is_not_registered(client, name, root):
    folder = root / f"bad-{name}"
    folder.mkdir()
    (folder / "out").symlink_to("/etc")
    refused = await client.post("/files", {"name": name, "kind": "folder", "path": str(folder)})
    assert (refused.status, refused.reason) == (422, "file.path_refused")
    (folder / "out").unlink()
    os.mkfifo(folder / "pipe")
    refused = await client.post("/files", {"name": name, "kind": "folder", "path": str(folder)})
    assert (refused.status, refused.reason) == (422, "file.path_refused")


async def test_a_stranger_and_a_viewer_bring_nothing_in(place, token, name):
    async with Client(place[0]) as nobody:
        assert (await nobody.post("/uploads", {"name": name, "size": 1, "sha256": "a" * 64})).status == 401
        assert (await nobody.send("PUT", "/uploads/u-" + "0" * 32, params={"offset": 0}, data=b"x")).status == 401
    async with Client(place[0], token=token) as admin:
        person = {"name": f"v-{secrets.token_hex(4)}", "password": "correct horse battery", "roles": ["viewer"]}
        assert (await admin.post("/people", person)).status == 201
        mine = await begun(admin, name, b"x")
    async with Client(place[0]) as viewer:
        assert (await viewer.log_in(person["name"])).status == 200
        assert (await viewer.post("/uploads", {"name": name, "size": 1, "sha256": "a" * 64})).status == 403
        assert (await viewer.get(f"/uploads/{mine['id']}")).status == 403


async def test_somebody_elses_upload_is_nobodys(place, token, name):
    async with Client(place[0], token=token) as admin:
        mine = await begun(admin, name, b"x")
        person = {"name": f"o-{secrets.token_hex(4)}", "password": "correct horse battery", "roles": ["operator"]}
        assert (await admin.post("/people", person)).status == 201
    async with await logged_in_as(place[0], person["name"]) as other:
        assert (await other.get(f"/uploads/{mine['id']}")).reason == "file.upload_unknown"
        assert (await other.post(f"/uploads/{mine['id']}/complete")).reason == "file.upload_unknown"


async def logged_in_as(address, name):
    client = Client(address)
    assert (await client.log_in(name)).status == 200
    return client


async def test_without_a_depot_it_is_said(own_nats, mongo, config, place, token):
    people = settings(own_nats, mongo, mongo_database="gateway-none", first_admin_password="correct horse battery")
    async with running(people) as address, await logged_in_as(address, "admin") as client:
        refused = await client.post("/uploads", {"name": "x", "size": 1, "sha256": "a" * 64})
        assert (refused.status, refused.reason) == (503, "depot.none")
