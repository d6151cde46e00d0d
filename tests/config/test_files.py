"""Names and versions of the depot's files. Their bytes are in tests/gateway/test_depot.py."""

import asyncio
import secrets

import pytest

from contracts import files
from contracts.errors import Conflict, Forbidden, Invalid, NotFound
from contracts.files import (
    ChangeFile,
    FileKind,
    FileRef,
    FindVersion,
    ForgetFile,
    ListFiles,
    ListFileVersions,
    RecordFile,
)
from tests.config.conftest import OPERATOR, VIEWER


def content(text=None):
    return text or secrets.token_hex(32)


def recorded(name, sha256, **more):
    known = {
        "kind": FileKind.FILE,
        "size": 3,
        "md5": "a" * 32,
        "entries": 0,
        "path": f"blobs/{sha256}",
        "source": "upload",
    }
    return RecordFile(name=name, sha256=sha256, **{**known, **more})


@pytest.fixture
def name():
    return f"nginx-{secrets.token_hex(4)}.tar.gz"


async def test_each_new_content_is_a_version_and_the_same_again_is_none(ask, name):
    first, second = content(), content()
    for sha256, number in ((first, 1), (first, 1), (second, 2), (first, 3)):
        file = await ask(files.record_file, recorded(name, sha256, note="why"), by=OPERATOR)
        assert (file.newest.number, file.newest.sha256, file.newest.by) == (number, sha256, "olga")
    page = await ask(files.list_file_versions, ListFileVersions(name=name, limit=2))
    assert [version.number for version in page.versions] == [3, 2]
    rest = await ask(files.list_file_versions, ListFileVersions(name=name, limit=2, after=page.next))
    assert ([version.number for version in rest.versions], rest.next) == ([1], "")
    assert (await ask(files.find_version, FindVersion(name=name))).version.number == 3
    assert (await ask(files.find_version, FindVersion(name=name, version=2))).version.sha256 == second


async def test_those_who_record_at_once_lose_nothing(ask, name):
    await asyncio.gather(*(ask(files.record_file, recorded(name, content())) for _ in range(4)))
    page = await ask(files.list_file_versions, ListFileVersions(name=name))
    assert [version.number for version in page.versions] == [4, 3, 2, 1]


async def test_a_file_stays_what_it_is(ask, name):
    await ask(files.record_file, recorded(name, content()))
    with pytest.raises(Conflict, match="is a file and a version of it cannot be a folder") as refused:
        await ask(files.record_file, recorded(name, content(), kind=FileKind.FOLDER))
    assert refused.value.reason == "file.other_kind"


async def test_who_lost_a_race_is_told_who_won(ask, name):
    made = await ask(files.record_file, recorded(name, content()))
    after = await ask(
        files.change_file, ChangeFile(name=name, revision=made.revision, tags=("web", "web")), by=OPERATOR
    )
    assert (after.tags, after.revision) == (("web",), made.revision + 1)
    with pytest.raises(Conflict, match="olga changed") as lost:
        await ask(files.change_file, ChangeFile(name=name, revision=made.revision, description="x"))
    assert lost.value.details["revision"] == after.revision
    assert (await ask(files.show_file, FileRef(name=name))).description == ""


async def test_files_are_found_by_name_tag_and_kind_page_by_page(ask):
    start = secrets.token_hex(4)
    for number in range(5):
        await ask(files.record_file, recorded(f"{start}-{number}", content()))
    await ask(files.change_file, ChangeFile(name=f"{start}-3", tags=("web", "live")))
    found, after = [], ""
    while True:
        page = await ask(files.list_files, ListFiles(search=start, limit=2, after=after))
        found += [file.name for file in page.files]
        after = page.next
        if not after:
            break
    assert found == [f"{start}-{number}" for number in range(5)]
    tagged = await ask(files.list_files, ListFiles(search=start, tags=("live", "web")))
    assert [file.name for file in tagged.files] == [f"{start}-3"]
    assert not (await ask(files.list_files, ListFiles(search=start, kinds=(FileKind.FOLDER,)))).files


async def test_only_content_that_nobody_else_has_is_freed(ask, name):
    shared, own = content(), content()
    await ask(files.record_file, recorded(name, shared))
    await ask(files.record_file, recorded(name, own))
    await ask(files.record_file, recorded(f"other-{name}", shared))
    gone = await ask(files.forget_file, ForgetFile(name=name))
    assert [version.sha256 for version in gone.freed] == [own]
    with pytest.raises(NotFound):
        await ask(files.show_file, FileRef(name=name))
    gone = await ask(files.forget_file, ForgetFile(name=f"other-{name}"))
    assert [version.sha256 for version in gone.freed] == [shared]


async def test_what_is_not_there_is_said(ask, name):
    for call, request in (
        (files.show_file, FileRef(name=name)),
        (files.find_version, FindVersion(name=name)),
        (files.change_file, ChangeFile(name=name)),
        (files.forget_file, ForgetFile(name=name)),
        (files.list_file_versions, ListFileVersions(name=name)),
    ):
        with pytest.raises(NotFound, match="no file") as refused:
            await ask(call, request)
        assert refused.value.reason == "file.unknown"
    await ask(files.record_file, recorded(name, content()))
    with pytest.raises(NotFound, match="no version 7; its newest is 1"):
        await ask(files.find_version, FindVersion(name=name, version=7))


@pytest.mark.parametrize("bad", ["", "../x", "a/b", ".hidden", "x" * 129, "a\n", "-x"])
async def test_a_name_is_a_name(ask, bad):
    with pytest.raises(Invalid):
        await ask(files.record_file, recorded(bad, content()))


async def test_a_viewer_changes_nothing(ask, name):
    with pytest.raises(Forbidden):
        await ask(files.record_file, recorded(name, content()), by=VIEWER)
    assert not (await ask(files.list_files, ListFiles(search=name), by=VIEWER)).files


async def test_no_page_scans_the_collection(database, config):
    for query in (
        {"_id": {"$gt": ""}},
        {"_id": {"$gt": "", "$gte": "a", "$lt": "b"}},
        {"_id": {"$gt": ""}, "tags": {"$all": ["web"]}},
        {"_id": {"$gt": ""}, "kind": {"$in": ["file"]}},
    ):
        plan = await database["files"].find(query).sort("_id", 1).limit(10).explain()
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"]), query
    for query in ({"file": "x", "number": {"$lt": 5}}, {"sha256": {"$in": ["x"]}}):
        plan = await database["file_versions"].find(query).explain()
        assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"]), query
