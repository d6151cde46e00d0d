"""Files into the depot and out of it with the command line, also when the gateway dies in between."""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from tests.plane import Plane
from tests.servers import until

MIB = 1024 * 1024


@pytest.fixture
def name():
    return f"e2e-{os.urandom(4).hex()}"


async def test_a_file_goes_in_and_comes_out(plane: Plane, tmp_path, name):
    source = tmp_path / "app.bin"
    source.write_bytes(os.urandom(3 * MIB))
    put = await plane.drover("file", "put", str(source), name, "--note", "first", "-o", "name")
    assert (put.returncode, put.stdout) == (0, f"{name}\n"), put
    again = await plane.drover("file", "put", str(source), name)
    assert f"{3 * MIB} of {3 * MIB} bytes are there already" in again.stderr
    got = await plane.drover("file", "get", name, str(tmp_path / "back"))
    assert got.returncode == 0, got
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    shown = await plane.drover("file", "show", name)
    assert hashlib.sha256(source.read_bytes()).hexdigest() in shown.stdout
    listed = await plane.drover("file", "list", name, "-o", "name")
    assert listed.stdout == f"{name}\n"
    assert (await plane.drover("file", "delete", name)).returncode == 0
    gone = await plane.drover("file", "get", name, str(tmp_path / "gone"))
    assert (gone.returncode, "file.unknown" in gone.stderr) == (3, True)
    assert not (tmp_path / "gone").exists()


async def test_a_folder_keeps_files_links_and_modes(plane: Plane, tmp_path, name):
    source = tmp_path / "conf"
    (source / "bin").mkdir(parents=True)
    (source / "bin" / "run").write_text("#!/bin/sh\n")
    (source / "bin" / "run").chmod(0o750)
    os.link(source / "bin" / "run", source / "bin" / "same")
    (source / "empty").mkdir(mode=0o700)
    (source / "current").symlink_to("bin/run")
    assert (await plane.drover("file", "put", str(source), name)).returncode == 0
    assert (await plane.drover("file", "get", name, str(tmp_path / "back"))).returncode == 0
    assert described(tmp_path / "back") == described(source)
    listed = await plane.drover("file", "entries", name, "-o", "name")
    assert listed.stdout.split() == ["bin", "bin/run", "bin/same", "current", "empty"]


def described(folder: Path):
    return {
        str(path.relative_to(folder)): (
            str(path.readlink()) if path.is_symlink() else path.stat().st_mode,
            path.read_text() if path.is_file() else "",
        )
        for path in folder.rglob("*")
    }


async def test_an_upload_survives_the_death_of_the_gateway(plane: Plane, tmp_path, name):
    source = tmp_path / "large.bin"
    source.write_bytes(os.urandom(64 * MIB))
    uploads = plane.folder / "depot" / "uploads"
    putting = asyncio.create_task(plane.drover("file", "put", str(source), name))
    await until(lambda: sum(part.stat().st_size for part in uploads.glob("u-*/part")) > MIB, "bytes are there")
    await plane.kill("gateway")
    await putting
    left = sum(part.stat().st_size for part in uploads.glob("u-*/part"))
    await plane.start("gateway")
    again = await plane.drover("file", "put", str(source), name)
    assert again.returncode == 0, again
    if 0 < left < 64 * MIB:
        assert f"{left} of {64 * MIB} bytes are there already" in again.stderr
    got = await plane.drover("file", "get", name, str(tmp_path / "back"))
    assert got.returncode == 0, got
    assert hashlib.sha256((tmp_path / "back").read_bytes()).digest() == hashlib.sha256(source.read_bytes()).digest()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("put", "/no/such/file"), 2, "does not exist"),
        (("put", "/etc", "x", "--kind", "file"), 2, "is a folder, so it cannot be put as a file"),
        (("put", "/etc/hostname", "a/b"), 3, "bus.malformed"),
        (("register", "/etc/passwd"), 3, "file.path_refused"),
        (("get", "no-such-file", "x"), 3, "file.unknown"),
        (("change", "x"), 2, "what shall change"),
    ],
)
async def test_a_mistake_is_answered_in_a_sentence(plane: Plane, words, status, said):
    answer = await plane.drover("file", *words)
    assert (answer.returncode, said in answer.stderr) == (status, True), answer
