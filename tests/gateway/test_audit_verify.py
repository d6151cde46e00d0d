"""Somebody who can write in the databases changes the trail, and is found: every way of it, on real servers."""

import asyncio
import contextlib
import json
import os
import sys
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import pytest_asyncio
from motor.motor_asyncio import AsyncIOMotorClient

from cli.exits import Exit
from cli.verification import Known, Verification, Wrong
from contracts.audit import SIGNING_CONTEXT, AuditRow, Checkpoint, ExportLine, checkpoint_digest, row_digest
from runtime.mongo import connect
from runtime.signing import Signer, decode, encode
from services.gateway.app import running
from services.gateway.audit.notary import Notary
from services.gateway.audit.store import CheckpointStore
from tests.auditing import rows
from tests.conftest import service_bus
from tests.gateway.client import Client
from tests.gateway.conftest import settings
from tests.gateway.trails import trails
from tests.plane import PROJECT
from tests.servers import mongod, nats_plane, until

HOST = {"idc": "js", "uses": 1}
PEOPLE = 3


@pytest_asyncio.fixture(scope="module")
async def nats(tmp_path_factory):
    async with nats_plane(tmp_path_factory.mktemp("own"), ("js",)) as plane:
        yield plane


@pytest_asyncio.fixture(scope="module")
async def mongo(tmp_path_factory):
    async with mongod(tmp_path_factory.mktemp("own")) as server:
        yield server


class Trail:
    """A trail of some rows and checkpoints; `as_it_was` puts it back."""

    def __init__(self, admin, notary, databases, signer, second):
        self.admin, self.notary, self.databases, self.signer, self.second = admin, notary, databases, signer, second
        self.resources, self.gateway = databases["resources"]["audit"], databases["gateway"]["audit"]
        self.checkpoints = databases["gateway"]["audit_checkpoints"]

    @property
    def keys(self):
        return {self.signer.key_id: self.signer.public_key}

    async def change(self):
        """Something that leaves two rows at resources."""
        before = await self.resources.count_documents({})
        await self.admin.post("/join-tokens", HOST)

        async def written():
            return await self.resources.count_documents({}) == before + 2

        await until(written, "both rows are there")

    async def export(self):
        answer = await self.admin.get("/audit/export")
        assert answer.status == 200
        return answer.body

    async def verified(self, *, keys=None, **more):
        checking = Verification(keys or self.keys)
        for line in (await self.export()).splitlines():
            checking.take(msgspec.json.decode(line, type=ExportLine))
        return checking.result(**more)

    async def found(self, **more):
        return {(each.what, each.where) for each in (await self.verified(**more)).findings}

    @contextlib.asynccontextmanager
    async def as_it_was(self):
        kept = [(each, await each.find().to_list(None)) for each in (self.resources, self.gateway, self.checkpoints)]
        try:
            yield
        finally:
            for collection, documents in kept:
                await collection.delete_many({})
                await collection.insert_many(documents)


@pytest_asyncio.fixture(scope="module")
async def made(nats, mongo, tmp_path_factory):
    wanted = settings(nats, mongo, audit_checkpoint_s=3600)
    second = tmp_path_factory.mktemp("second") / "checkpoints.jsonl"
    signer = Signer(decode(wanted.audit_seed), SIGNING_CONTEXT)
    client = AsyncIOMotorClient(mongo.url, tz_aware=True)
    database = await connect(mongo.url, wanted.mongo_database)
    async with (
        trails(nats, mongo.url) as others,
        running(wanted) as address,
        service_bus(nats, "gateway") as bus,
        Client(address) as browser,
    ):
        assert (await browser.log_in()).status == 200
        token = (await browser.post("/tokens", {"label": "audit"})).json["secret"]
        async with Client(address, token=token) as admin:
            notary = Notary(bus, CheckpointStore(database), signer, every_s=3600, file=second)
            trail = Trail(admin, notary, {**others, "gateway": client[wanted.mongo_database]}, signer, second)
            trail.address, trail.token = address, token
            for _ in range(3):
                await trail.change()
                assert await notary.sign() is not None
            yield trail
    database.client.close()
    client.close()


@pytest_asyncio.fixture
async def trail(made):
    async with made.as_it_was():
        yield made


async def test_a_trail_that_nobody_touched_is_sound(trail):
    result = await trail.verified()
    assert (result.sound, result.findings) == (True, [])
    assert result.checkpoints >= 3
    assert result.rows >= 8


async def test_nothing_new_is_no_checkpoint_and_two_gateways_make_one(made):
    other = Notary(made.notary._bus, made.notary._store, made.signer, every_s=1)
    assert await made.notary.sign() is None
    await made.change()
    signed = await asyncio.gather(made.notary.sign(), other.sign())
    assert len([each for each in signed if each is not None]) == 1
    assert (await made.verified()).sound
    assert await other.sign() is None


async def test_what_is_newer_than_the_last_checkpoint_is_counted(made):
    assert (await made.verified()).unsigned == 0
    await made.change()
    result = await made.verified()
    assert (result.sound, result.unsigned) == (True, 2)
    assert await made.notary.sign() is not None


@pytest.mark.parametrize(
    "change",
    [
        {"who.name": "nobody"},
        {"object": "another"},
        {"request": "{}"},
        {"outcome": "ok"},
        {"call": "jobs.runs.list"},
        {"trace": ""},
        {"kind": "denied"},
        {"who.roles": ["viewer"]},
    ],
)
async def test_a_row_that_was_edited(trail, change):
    row = (await rows(trail.databases["resources"]))[3]
    await trail.resources.update_one({"_id": row["_id"]}, {"$set": change})
    assert await trail.found() == {(Wrong.ROW_CHANGED, f"resources {row['chain']} 4")}


async def test_a_row_whose_digest_was_made_to_fit(trail):
    documents = await rows(trail.databases["resources"])
    await rewrite(trail.resources, documents[2:3], documents[1]["digest"], request="{}")
    assert await trail.found() == {(Wrong.ROW_CHANGED, f"resources {documents[0]['chain']} 4")}


async def test_rows_missing_in_the_middle(trail):
    documents = await rows(trail.databases["resources"])
    await trail.resources.delete_many({"n": {"$in": [3, 4]}})
    assert await trail.found() == {(Wrong.ROWS_MISSING, f"resources {documents[0]['chain']} 5")}


async def test_rows_missing_at_the_beginning(trail):
    documents = await rows(trail.databases["resources"])
    await trail.resources.delete_many({"n": 1})
    assert await trail.found() == {(Wrong.ROWS_MISSING, f"resources {documents[0]['chain']} 2")}


async def test_an_end_that_was_cut_off(trail):
    documents = await rows(trail.databases["resources"])
    await trail.resources.delete_one({"_id": documents[-1]["_id"]})
    assert await trail.found() == {(Wrong.CHAIN_CUT, f"resources {documents[0]['chain']}")}


async def test_a_chain_that_is_gone(trail):
    [row, *_] = await rows(trail.databases["resources"])
    await trail.resources.delete_many({})
    assert await trail.found() == {(Wrong.CHAIN_MISSING, f"resources {row['chain']}")}


async def test_a_chain_that_was_rewritten_as_a_whole(trail):
    documents = await rows(trail.databases["resources"])
    await rewrite(trail.resources, documents, "", request='{"idc":"innocent"}')
    found = await trail.found()
    assert {what for what, _ in found} == {Wrong.CHAIN_REWRITTEN}
    assert {where for _, where in found} == {
        f"resources {documents[0]['chain']} {n}" for n in range(2, len(documents) + 1, 2)
    }


async def rewrite(collection, documents, digest, **change):
    """As somebody would who knows the rule."""
    for document in documents:
        fields = {name: value for name, value in {**document, **change}.items() if name != "_id"}
        row = msgspec.convert(fields, AuditRow)
        digest = row_digest(digest, row)
        await collection.update_one({"_id": document["_id"]}, {"$set": {**change, "digest": digest}})


async def test_a_checkpoint_that_was_removed(trail):
    await trail.checkpoints.delete_one({"_id": 2})
    assert await trail.found() == {(Wrong.CHECKPOINT_MISSING, "checkpoint 3")}


async def test_a_checkpoint_that_was_edited(trail):
    await trail.checkpoints.update_one({"_id": 2}, {"$set": {"heads": []}})
    assert await trail.found() >= {
        (Wrong.CHECKPOINT_FORGED, "checkpoint 2"),
        (Wrong.CHECKPOINT_CHANGED, "checkpoint 3"),
    }


async def test_a_checkpoint_signed_with_another_key(trail):
    forger = Signer(bytes(range(32)), SIGNING_CONTEXT)
    last = (await trail.notary._store.following(0, 100))[-1]
    forged = Notary(None, None, forger, every_s=1)._signed(msgspec.structs.replace(last, heads=()))
    await trail.checkpoints.update_one({"_id": last.n}, {"$set": {"heads": [], "signature": forged.signature}})
    assert (Wrong.CHECKPOINT_FORGED, f"checkpoint {last.n}") in await trail.found()


async def test_rows_cut_together_with_the_checkpoints_that_saw_them(trail):
    """In the database alone that is a shorter trail; what was kept elsewhere knows better."""
    last = (await trail.notary._store.following(0, 100))[-1]
    documents = await rows(trail.databases["resources"])
    await trail.checkpoints.delete_one({"_id": last.n})
    await trail.resources.delete_many({"n": {"$gt": documents[-1]["n"] - 2}})
    assert (await trail.verified()).sound
    missing = {(Wrong.CHECKPOINT_MISSING, f"checkpoint {last.n}")}
    assert await trail.found(known=Known(last.n, checkpoint_digest(last))) == missing
    kept = [msgspec.json.decode(line, type=Checkpoint) for line in trail.second.read_text().splitlines()]
    assert {each.n for each in kept} >= {last.n}
    assert missing <= await trail.found(second=kept)


async def test_an_export_that_was_cut_off(trail):
    lines = (await trail.export()).splitlines()
    for left in (lines[:-1], [*lines[:-2], lines[-1]]):
        checking = Verification(trail.keys)
        for line in left:
            checking.take(msgspec.json.decode(line, type=ExportLine))
        assert Wrong.EXPORT_CUT in {each.what for each in checking.result().findings}


async def drover(trail, folder, *arguments, token=True):
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    if token:
        environ |= {"DROVER_URL": trail.address, "DROVER_TOKEN": trail.token}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", *arguments, cwd=PROJECT, env=environ,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def context(trail, folder):
    file = folder / ".config" / "drover" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'current = "x"\n[contexts.x]\nurl = "{trail.address}"\ntoken = "{trail.token}"\n')
    file.chmod(0o600)
    return file


async def test_the_command_remembers_the_key_and_the_newest_checkpoint(trail, tmp_path):
    file = context(trail, tmp_path)
    status, _, said = await drover(trail, tmp_path, "audit", "verify", token=False)
    assert status == Exit.SUCCEEDED, said
    assert "trusting the key" in said
    assert "sound:" in said
    assert trail.signer.public_key in file.read_text()
    status, _, said = await drover(trail, tmp_path, "audit", "verify", token=False)
    assert status == Exit.SUCCEEDED
    assert "trusting the key" not in said
    last = (await trail.notary._store.following(0, 100))[-1].n
    await trail.checkpoints.delete_one({"_id": last})
    status, out, said = await drover(trail, tmp_path, "audit", "verify", "-o", "json", token=False)
    assert status == Exit.FAILED_HOSTS
    assert "NOT SOUND" in said
    [finding] = json.loads(out)["findings"]
    assert (finding["what"], finding["where"]) == ("checkpoint_missing", f"checkpoint {last}")


async def test_the_command_verifies_what_was_exported_and_names_what_is_wrong(trail, tmp_path):
    status, exported, said = await drover(trail, tmp_path, "audit", "export")
    assert status == Exit.SUCCEEDED, said
    file = tmp_path / "audit.jsonl"
    file.write_text(exported)
    status, key, _ = await drover(trail, tmp_path, "audit", "key", "-o", "name")
    assert (status, key.strip()) == (0, trail.signer.public_key)
    good = ("audit", "verify", str(file), "--key", key.strip(), "--second", str(trail.second))
    status, _, said = await drover(trail, tmp_path, *good, token=False)
    assert status == Exit.SUCCEEDED, said
    file.write_text(exported.replace('"idc\\":\\"js', '"idc\\":\\"bj', 1))
    status, out, said = await drover(trail, tmp_path, *good, token=False)
    assert status == Exit.FAILED_HOSTS
    assert "row_changed" in out
    other = encode(bytes(32))
    file.write_text(exported)
    status, out, _ = await drover(trail, tmp_path, "audit", "verify", str(file), "--key", other, token=False)
    assert status == Exit.FAILED_HOSTS
    assert "checkpoint_forged" in out
    for wrong in ("nonsense", "AAAA"):
        status, _, said = await drover(trail, tmp_path, "audit", "verify", str(file), "--key", wrong, token=False)
        assert status == Exit.USAGE, said
    file.write_text("no trail\n")
    status, _, said = await drover(trail, tmp_path, *good, token=False)
    assert status == Exit.USAGE
    assert "Traceback" not in said


async def test_the_command_lists_and_filters(trail, tmp_path):
    listing = ("audit", "list", "--since", "1h", "--call", "resources.join_tokens.create")
    status, out, said = await drover(trail, tmp_path, *listing)
    assert status == Exit.SUCCEEDED, said
    assert out.count("run.wrong_state") >= 3
    assert "127.0.0.1" in out
    status, out, _ = await drover(trail, tmp_path, "audit", "list", "-n", "2", "-o", "json")
    assert len(json.loads(out)["entries"]) == 2
    status, out, _ = await drover(trail, tmp_path, "audit", "list", "--until", "2020-01-01", "-o", "name")
    assert (status, out) == (0, "")
    status, _, said = await drover(trail, tmp_path, "audit", "list", "--since", "yesterday")
    assert status == Exit.USAGE
    assert "no moment" in said


async def test_old_rows_that_nobody_signed(trail):
    """Whoever removes all checkpoints and then cuts rows leaves nothing that contradicts itself but their age."""
    assert (await trail.verified(now=datetime.now(UTC) + timedelta(days=1))).sound
    await trail.checkpoints.delete_many({})
    assert (await trail.verified(now=datetime.now(UTC))).sound
    later = await trail.verified(now=datetime.now(UTC) + timedelta(minutes=16))
    assert [each.what for each in later.findings] == [Wrong.ROWS_UNSIGNED]
