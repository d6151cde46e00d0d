"""What is in an archive is looked at before anybody trusts it."""

import io
import os
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Invalid
from services.gateway.depot import archives
from services.gateway.depot.archives import Unsafe, inside, safe_path
from services.gateway.depot.looking import Looking


def member(name, kind=tarfile.REGTYPE, *, size=0, link="", mode=0o644):
    made = tarfile.TarInfo(name)
    made.type, made.size, made.linkname, made.mode = kind, size, link, mode
    return made


def tar(path, *members, mode="w"):
    with tarfile.open(path, mode) as out:
        for each in members:
            out.addfile(each, io.BytesIO(b"x" * each.size) if each.size else None)
    return path


def found(path):
    return archives.listed(archives.entries(path))


def test_a_tar_file_says_what_is_in_it(tmp_path):
    path = tar(
        tmp_path / "a.tar.gz",
        member("./conf", tarfile.DIRTYPE, mode=0o750),
        member("conf/nginx.conf", size=5, mode=0o4755),
        member("conf/current", tarfile.SYMTYPE, link="nginx.conf"),
        mode="w:gz",
    )
    assert [(each.path, each.type, each.mode, each.size, each.target) for each in found(path)] == [
        ("conf", "folder", 0o750, 0, ""),
        ("conf/current", "link", 0o777, 0, "nginx.conf"),
        ("conf/nginx.conf", "file", 0o755, 5, ""),
    ]


def test_a_zip_file_says_what_is_in_it(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("conf/", "")
        out.writestr("conf/é.txt", "hello")
    assert [(each.path, each.type, each.size) for each in found(path)] == [
        ("conf", "folder", 0),
        ("conf/é.txt", "file", 5),
    ]


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([member("/etc/passwd", size=1)], "leads outside"),
        ([member("a/../../b", size=1)], "leads outside"),
        ([member("dev", tarfile.CHRTYPE)], "device or a pipe"),
        ([member("pipe", tarfile.FIFOTYPE)], "device or a pipe"),
        ([member("a", size=1), member("b", tarfile.LNKTYPE, link="a")], "hard link"),
        ([member("out", tarfile.SYMTYPE, link="/etc")], "leads outside"),
        ([member("d/out", tarfile.SYMTYPE, link="../../etc")], "leads outside"),
        ([member("d/l", tarfile.SYMTYPE, link=".."), member("x", tarfile.SYMTYPE, link="d/l/..")], "leads outside"),
        ([member("d", tarfile.SYMTYPE, link="e"), member("d/f", size=1)], "lies below"),
        ([member("d/f", size=1), member("d", tarfile.SYMTYPE, link="e")], "something lies below it"),
        ([member("a", size=1), member("a", size=2)], "twice"),
        ([member("x" * 300, size=1)], "too long"),
    ],
)
def test_what_could_do_harm_is_refused(tmp_path, members, why):
    with pytest.raises(Unsafe, match=why):
        found(tar(tmp_path / "a.tar", *members))


def test_a_zip_file_with_a_link_or_a_way_out_is_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    for info in (link, zipfile.ZipInfo("../up"), zipfile.ZipInfo("/etc/x")):
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as out:
            out.writestr(info, "target")
        with pytest.raises(Unsafe):
            found(path)


def test_a_bomb_is_refused_by_what_it_says_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "FREE_BYTES", 1000)
    path = tar(tmp_path / "bomb.tar.gz", member("big", size=5_000_000), mode="w:gz")
    assert path.stat().st_size * archives.MOST_TIMES < 5_000_000
    with pytest.raises(Unsafe, match="unpacks to more than"):
        found(path)
    monkeypatch.setattr(archives, "MOST_ENTRIES", 3)
    with pytest.raises(Unsafe, match="more than 3 entries"):
        found(tar(tmp_path / "many.tar", *(member(f"f{n}") for n in range(4))))


@pytest.mark.parametrize(
    "content", [b"", b"no archive", b"\x1f\x8b\x08 broken", b"PK\x03\x04 broken", os.urandom(5000)]
)
def test_what_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(Unsafe, match="cannot be read"):
        found(path)


async def test_the_child_says_in_a_sentence_why_it_refuses(tmp_path):
    path = tar(tmp_path / "a.tar", member("/etc/passwd", size=1))
    with pytest.raises(Invalid, match=r"The archive is refused. The name '/etc/passwd' leads outside.") as refused:
        await Looking().into(path, tmp_path / "out")
    assert refused.value.reason == "file.archive_refused"


async def test_the_child_unpacks_by_content_and_under_no_name_of_the_archive(tmp_path):
    path = tar(tmp_path / "a.tar", member("a/one", size=3), member("two", size=3), member("three", size=4))
    entries = await Looking().unpack(path, tmp_path / "out", tmp_path / "files")
    assert [entry.path for entry in entries] == ["a/one", "three", "two"]
    assert entries[0].sha256 == entries[2].sha256
    assert sorted(file.name for file in (tmp_path / "files").iterdir()) == sorted({each.sha256 for each in entries})


@given(st.text(max_size=30))
def test_a_path_that_passes_stays_inside(name):
    try:
        path = safe_path(name)
    except Unsafe:
        return
    assert os.path.normpath(f"/root/{path}").startswith("/root")
    assert path == os.path.normpath(path) or path == ""


def test_links_are_judged_by_where_they_stand():
    assert inside("a/b/c", "../../x") == "../../x"
    for path, target in (("c", "../x"), ("a/b", "x/../y"), ("a", ""), ("a", "/x"), ("a", "\udc80")):
        with pytest.raises(Unsafe):
            inside(path, target)
