"""What is made of a script before it is started: E6, E8 and E9 of the table of bad inputs."""

import json
import os
from pathlib import Path

import msgspec
import pytest

from agent import scripts
from agent.facts import own_account
from agent.grants import Refused
from contracts.agents import MAX_SCRIPT_BYTES, RunScript

OWN = own_account()


def body(**fields) -> bytes:
    return json.dumps({"language": "shell", "script": "true", "timeout_s": 60} | fields).encode()


@pytest.mark.parametrize(
    "fields",
    [
        {"timeout_s": -1},
        {"timeout_s": 0},
        {"timeout_s": 10**9},
        {"timeout_s": "60"},
        {"kill_grace_s": -1},
        {"args": ["x"] * 10_001},
        {"args": ["a\0b"]},
        {"args": ["x" * 8193]},
        {"args": "x"},
        {"env": {"A=B": "x"}},
        {"env": {"": "x"}},
        {"env": {"A": "x\0"}},
        {"env": {"A B": "x"}},
        {"env": {f"A{n}": "" for n in range(65)}},
        {"parameters": {"a-b": "x"}},
        {"script": ""},
        {"script": " \n"},
        {"script": "echo \0"},
        {"script": "x" * (MAX_SCRIPT_BYTES + 1)},
        {"script": 3},
        {"language": "perl"},
        {"account": 0},
    ],
)
def test_fields_that_cannot_be_meant_are_refused_for_good(fields: dict):
    with pytest.raises(Refused) as refused:
        scripts.read(body(**fields))
    assert refused.value.reason == "command.malformed"
    assert refused.value.final


@pytest.mark.parametrize("data", [b"", b"[", b"[" * 100_000, b"\xff\xfe", b"null", b'{"script":"\\ud800"}', b"{}"])
def test_noise_is_refused(data: bytes):
    with pytest.raises(Refused) as refused:
        scripts.read(data)
    assert refused.value.reason == "command.malformed"


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "PATH", "ENV", "IFS", "PYTHONPATH", "DROVER_TASK"]
)
def test_variables_that_change_what_is_loaded_are_refused(name: str):
    with pytest.raises(Refused) as refused:
        scripts.read(body(env={name: "x"}))
    assert refused.value.reason == "run.refused_variable"


@pytest.mark.parametrize("name", ["0", "-1", "4294967295", "+0", "#-1", "root\n", "../x", "", " root", "a" * 33])
def test_what_is_not_the_name_of_an_account_is_refused(name: str):
    order = msgspec.structs.replace(scripts.read(body()), account=name or "\0")
    with pytest.raises(Refused) as refused:
        scripts.account_of(order, ())
    assert refused.value.reason == "account.refused"


def test_an_allow_list_decides_for_the_own_account_too():
    order = scripts.read(body())
    assert scripts.account_of(order, ()) is None
    assert scripts.account_of(order, (OWN,)) is None
    with pytest.raises(Refused) as refused:
        scripts.account_of(order, ("somebody",))
    assert refused.value.reason == "account.refused"


def test_accounts_that_are_not_there_or_cannot_log_in():
    if os.geteuid() == 0:
        expected = {"nobodyknowsme": "account.unknown", "daemon": "account.refused"}
    else:
        expected = {"nobodyknowsme": "account.refused", "root": "account.refused"}
    for name, reason in expected.items():
        with pytest.raises(Refused) as refused:
            scripts.account_of(scripts.read(body(account=name)), ())
        assert refused.value.reason == reason


def shell(first: str) -> RunScript:
    return scripts.read(body(script=f"{first}\ntrue\n"))


@pytest.mark.parametrize(
    ("first", "argv"),
    [
        ("#!/bin/sh", ["/bin/sh"]),
        ("#!/bin/bash -eu", ["/bin/bash", "-eu"]),
        ("#! /usr/bin/env bash", ["bash"]),
        ("#!/usr/bin/env -S zsh -f", ["zsh", "-f"]),
        ("#!/bin/bash -x\r", ["/bin/bash", "-x"]),
        ("# a comment", ["/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"]),
    ],
)
def test_the_first_line_names_the_shell(first: str, argv: list[str]):
    assert scripts.interpreter(shell(first)) == argv


@pytest.mark.parametrize(
    "first",
    [
        "#!/tmp/bash",
        "#!../bash",
        "#!bash",
        "#!/bin/../tmp/sh",
        "#!/usr/bin/perl",
        "#!/usr/bin/env perl",
        "#!",
        "#!/usr/bin/env sh /tmp/x",
        "#!/usr/bin/env",
    ],
)
def test_other_interpreters_are_refused(first: str):
    with pytest.raises(Refused) as refused:
        scripts.interpreter(shell(first))
    assert refused.value.reason == "task.interpreter_refused"


def test_python_scripts_run_with_the_hosts_python():
    assert scripts.interpreter(scripts.read(body(language="python", script="#!/bin/sh\n"))) == ["python3"]


def test_a_script_cannot_replace_our_variables(tmp_path: Path):
    order = msgspec.structs.replace(scripts.read(body()), env={"DROVER_TASK": "x", "A": "b"})
    env = scripts.environment(order, "0123-0-1-2", "h-1", tmp_path, tmp_path)
    assert env["DROVER_TASK"] == "0123-0-1-2"
    assert env["DROVER_RUN"] == "0123"
    assert env["A"] == "b"


def test_the_script_is_a_file_of_its_account_in_a_folder_that_others_only_pass(tmp_path: Path):
    folder = tmp_path / "task"
    path = scripts.place(folder, "echo ä\n", None)
    assert path.read_text() == "echo ä\n"
    assert path.stat().st_mode & 0o777 == 0o500
    assert folder.stat().st_mode & 0o777 == 0o711


def test_what_a_crash_left_is_replaced(tmp_path: Path):
    folder = tmp_path / "task"
    folder.mkdir()
    (folder / "script").symlink_to(tmp_path / "elsewhere")
    scripts.place(folder, "true", None)
    assert not (tmp_path / "elsewhere").exists()
    assert not (folder / "script").is_symlink()
