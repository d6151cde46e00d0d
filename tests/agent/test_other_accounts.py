"""Scripts of another account reach what is theirs, or are refused before they begin."""

import os
import pwd
from pathlib import Path

import pytest

from agent import passage
from agent.folder import LIBRARY, Folder
from agent.passage import closed_folder
from contracts.states import Outcome
from tests.agent.agent_rig import Dispatcher, Home, reached
from tests.agent.spawner_rig import OTHER_ACCOUNT

ROOT = os.geteuid() == 0


async def test_the_library_is_there_for_every_account(jobs: Dispatcher, home: Home):
    agent = await home.agent(accounts=(OTHER_ACCOUNT,))
    own = await reached(jobs, agent)
    script = '. "$DROVER_LIB"; drover_tag "$(id -un)"; python3 -c "import drover; drover.result(7)"; echo $DROVER_LIB'
    task = await jobs.run(own, script, account=OTHER_ACCOUNT)
    report = await jobs.report(own, task)
    assert (report.outcome, report.tag, report.result) == (Outcome.SUCCEEDED, OTHER_ACCOUNT, "7")
    assert report.head == f"{agent.parts.kit.folder.root}/lib/drover.sh\n"  # not where the checkout happens to be


def test_the_library_is_laid_anew_where_it_differs(tmp_path: Path):
    folder = Folder(tmp_path)
    folder.lay_library()
    before = {path: path.stat().st_mtime_ns for path in folder.library.iterdir()}
    changed = folder.library / "drover.sh"
    changed.write_text("of another version")
    folder.lay_library()
    assert {path.name: path.read_bytes() for path in folder.library.iterdir()} == {
        path.name: path.read_bytes() for path in LIBRARY.iterdir() if path.is_file()
    }
    assert {path for path, at in before.items() if path.stat().st_mtime_ns != at} == {changed}
    assert {path.stat().st_mode & 0o777 for path in folder.library.iterdir()} == {0o644}


async def test_an_account_that_cannot_pass_is_refused_before_the_script_begins(
    jobs: Dispatcher, home: Home, monkeypatch: pytest.MonkeyPatch
):
    if not ROOT:  # nobody else can be tried then, so the answer is given for them
        monkeypatch.setattr("agent.scripts.account_of", lambda *_: OTHER_ACCOUNT)
        monkeypatch.setattr("agent.scripts.closed_folder", lambda *_: home.root)
    agent = await home.agent(accounts=(OTHER_ACCOUNT,))
    own = await reached(jobs, agent)
    home.root.chmod(0o700)
    task = await jobs.run(own, "echo never", account=OTHER_ACCOUNT)
    report = await jobs.report(own, task)
    assert (report.outcome, report.reason) == (Outcome.REFUSED, "account.shut_out")
    assert report.message == f"{OTHER_ACCOUNT} may not pass through {home.root} to its script."
    assert report.started_at is None
    assert not agent.parts.kit.folder.task(task).exists()


def a_script_of(account: str, folder: Path) -> Path:
    folder.mkdir(mode=0o711)
    script = folder / "script"
    script.write_text("true")
    os.chown(script, pwd.getpwnam(account).pw_uid, -1)
    return script


def test_the_folder_that_is_closed_is_named(passable: Path):
    script = a_script_of(OTHER_ACCOUNT, passable / "task")
    assert closed_folder(script, OTHER_ACCOUNT) is None
    passable.chmod(0o600)
    closed = closed_folder(script, OTHER_ACCOUNT)
    passable.chmod(0o711)
    assert closed == passable


def test_modes_do_not_have_the_last_word(passable: Path, monkeypatch: pytest.MonkeyPatch):
    script = a_script_of(OTHER_ACCOUNT, passable / "task")
    monkeypatch.setattr(passage, "_closed_by_mode", lambda *_: passable)  # as with an access control list
    assert closed_folder(script, OTHER_ACCOUNT) == (None if ROOT else passable)
