"""Stored scripts and templates as files below the depot."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from contracts import scripts, templates
from contracts.agents import Language
from contracts.scripts import CreateScript, Script, ScriptKind
from contracts.templates import SaveTemplate
from contracts.tokens import BadToken
from services.config.app import running
from services.config.shelf import lay_out, of_script, of_template


def script(**fields):
    known = {
        "name": "install", "kind": ScriptKind.USER, "owner": "bob", "description": "", "tags": (), "revision": 1,
        "language": Language.SHELL, "newest": 1, "online": 0, "changed_by": "bob", "changed_at": datetime.now(UTC),
    }  # fmt: skip
    return Script(**{**known, **fields})


def test_each_kind_has_its_place(tmp_path):
    assert of_script(tmp_path, script(), 3) == tmp_path / "scripts/user/bob/install/3"
    assert of_script(tmp_path, script(kind=ScriptKind.SYSTEM), 3) == tmp_path / "scripts/system/install/3"
    assert of_template(tmp_path, "app.conf", 2) == tmp_path / "templates/app.conf/2"
    with pytest.raises(BadToken):
        of_script(tmp_path, script(owner="../../etc"), 1)


def test_a_version_is_laid_out_once_and_whole(tmp_path):
    path = of_script(tmp_path, script(), 1)
    lay_out(path, "echo ä\n")
    assert path.read_bytes() == "echo ä\n".encode()
    lay_out(path, "another")
    assert path.read_text() == "echo ä\n"
    assert [each.name for each in path.parent.iterdir()] == ["1"]


async def test_what_is_stored_is_there_as_files_also_what_was_saved_elsewhere(ask, set_up, tmp_path):
    name = f"s-{secrets.token_hex(4)}"
    await ask(scripts.create_script, CreateScript(name=name, kind=ScriptKind.SYSTEM, text="echo hi\n"))
    await ask(templates.save_template, SaveTemplate(name=name, text="{{ a }}\n"))
    async with running(replace(set_up, depot=tmp_path)):
        assert (tmp_path / "scripts" / "system" / name / "1").read_text() == "echo hi\n"
        assert (tmp_path / "templates" / name / "1").read_text() == "{{ a }}\n"
