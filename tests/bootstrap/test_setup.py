"""The locks and `make setup`: what they say to a machine that they do not know."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def locked(file: str) -> dict[str, list[str]]:
    """Package → its hashes."""
    text = (ROOT / "locks" / file).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    return {name(line): re.findall(r"--hash=sha256:([0-9a-f]{64})", line) for line in lines}


def declared() -> tuple[set[str], set[str]]:
    """What the agent needs, and what everything needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = set(map(name, project["dependencies"]))
    extras = {name(each) for group in project["optional-dependencies"].values() for each in group}
    return base, base | extras


@pytest.mark.parametrize("file", ["agent.txt", "dev.txt"])
def test_a_lock_names_no_address_and_every_hash(file: str) -> None:
    text = (ROOT / "locks" / file).read_text()

    assert not re.search(r"://|@ |--(extra-)?index|--find-links|file:", text)
    assert all(hashes for hashes in locked(file).values())


def test_the_locks_hold_what_is_declared_and_the_agents_nothing_more() -> None:
    base, everything = declared()

    assert base <= set(locked("agent.txt"))
    assert everything <= set(locked("dev.txt"))
    assert not set(locked("agent.txt")) & (everything - base)


def test_a_machine_without_python_is_told_in_one_sentence(tmp_path: Path) -> None:
    setup = subprocess.run(
        ["/bin/sh", str(ROOT / "bootstrap/setup.sh")],
        cwd=tmp_path,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert setup.returncode == 1
    assert len(setup.stderr.strip().splitlines()) == 1
    assert "Drover needs Python 3.11 or later" in setup.stderr


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
    old.chmod(0o755)

    setup = subprocess.run(
        ["/bin/sh", str(ROOT / "bootstrap/setup.sh")],
        cwd=tmp_path,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert setup.returncode == 1
    assert "there is Python 3.9.2" in setup.stderr


def test_make_alone_lists_every_target() -> None:
    said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout

    for target in ("setup", "run", "demo", "test", "check", "fix", "docs", "lock", "bench", "bench-<name>", "clean"):
        assert f"make {target} " in said
