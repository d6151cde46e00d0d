"""Whatever a script leaves as its tag and result, the agent reads safely or says why not."""

import os
import socket
from pathlib import Path

import pytest

from agent.outcome_files import MAX_RESULT_BYTES, RESULT_NAME, TAG_NAME, LeftBehind, read_left_behind


def test_nothing_left_is_no_problem(tmp_path: Path) -> None:
    assert read_left_behind(tmp_path) == LeftBehind("", "", "")
    assert read_left_behind(tmp_path / "gone") == LeftBehind("", "", "")


def test_tag_and_result_are_taken_without_the_space_around(tmp_path: Path) -> None:
    (tmp_path / TAG_NAME).write_text("ok\n")
    (tmp_path / RESULT_NAME).write_text('\n{"a": [1, 2.5, "ü", null]} \n')
    assert read_left_behind(tmp_path) == LeftBehind("ok", '{"a": [1, 2.5, "ü", null]}', "")


@pytest.mark.parametrize(
    "content",
    [b"{", b"nan", b"NaN", b"1 2", b'"\xff"', b"\xff", b"'a'", b"[" * 50_000, b'{"a":1,}', b'"\x01"', b"\xef\xbb\xbf1"],
)
def test_what_is_not_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RESULT_NAME).write_bytes(content)
    assert read_left_behind(tmp_path) == LeftBehind(problem="The script's result is not JSON.")


@pytest.mark.parametrize("content", [b"a b", b"x" * 65, b"\xff", b"a\nb", b"../x", b"\0"])
def test_what_is_no_tag_is_named_and_the_result_still_counts(tmp_path: Path, content: bytes) -> None:
    (tmp_path / TAG_NAME).write_bytes(content)
    (tmp_path / RESULT_NAME).write_text("1")
    left = read_left_behind(tmp_path)
    assert (left.tag, left.result) == ("", "1")
    assert left.problem.startswith("The script's tag is not 1 to 64")


def test_the_limit_is_exact(tmp_path: Path) -> None:
    file = tmp_path / RESULT_NAME
    file.write_bytes(b'"' + b"x" * (MAX_RESULT_BYTES - 2) + b'"')
    assert len(read_left_behind(tmp_path).result) == MAX_RESULT_BYTES
    file.write_bytes(b'"' + b"x" * (MAX_RESULT_BYTES - 1) + b'"')
    assert read_left_behind(tmp_path) == LeftBehind(problem="The script's result is larger than 65536 bytes.")


@pytest.mark.parametrize("name", [TAG_NAME, RESULT_NAME])
@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder", "device", "socket"])
def test_only_a_plain_file_of_one_name_is_read(tmp_path: Path, name: str, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("1")
    path = tmp_path / name
    match kind:
        case "link":
            path.symlink_to(secret)
        case "hard link":
            path.hardlink_to(secret)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
    left = read_left_behind(tmp_path)
    assert (left.tag, left.result) == ("", "")
    assert left.problem.startswith(f"The script's {'tag' if name == TAG_NAME else 'result'} ")
