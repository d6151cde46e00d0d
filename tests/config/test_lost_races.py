"""Whoever named a revision that is not the newest is told what others changed since, of everything that has one."""

import secrets

import pytest

from contracts import accounts, files, scripts, templates, variables
from contracts.accounts import ChangeAccount, CreateAccount, DeleteAccount
from contracts.errors import Conflict
from contracts.files import ChangeFile, ForgetFile
from contracts.scripts import ChangeScript, CreateScript, Language, MoveVersion, SaveVersion, ScriptKind
from contracts.templates import SaveTemplate
from contracts.variables import SetVariables
from tests.config.conftest import ADMIN, OPERATOR
from tests.config.test_files import recorded
from tests.races import changes, revised

ACCOUNT = {"os_user": ("www", "app", "ada"), "description": ("", "of the shop", "ada")}
FILE = {"tags": ([], ["web"], "olga")}
SCRIPT = {"description": ("", "says hello", "olga"), "newest": (1, 2, "olga")}
TEMPLATE = {"description": ("", "of the shop", "olga"), "tags": (["a"], ["b"], "olga")}
VARIABLES = {"a.b": (1, 2, "olga"), "c": (None, "new", "olga"), "password": ("••••••", "••••••", "olga")}

LOSE = [
    (accounts.change_account, lambda name: ChangeAccount(alias=name, revision=1, disabled=True), ACCOUNT),
    (accounts.delete_account, lambda name: DeleteAccount(alias=name, revision=1), ACCOUNT),
    (files.change_file, lambda name: ChangeFile(name=name, revision=1, description="x"), FILE),
    (files.forget_file, lambda name: ForgetFile(name=name, revision=1), FILE),
    (scripts.save_version, lambda name: SaveVersion(name=name, revision=1, text="echo 3\n"), SCRIPT),
    (scripts.change_script, lambda name: ChangeScript(name=name, revision=1, tags=("x",)), SCRIPT),
    (scripts.put_online, lambda name: MoveVersion(name=name, revision=1, version=1), SCRIPT),
    (scripts.retire_version, lambda name: MoveVersion(name=name, revision=1, version=1), SCRIPT),
    (templates.save_template, lambda name: SaveTemplate(name=name, revision=1, text="mine"), TEMPLATE),
    (variables.set_variables, lambda name: SetVariables(scope=f"group:{name}", revision=1, text="a: 3"), VARIABLES),
]


async def changed_account(ask, name):
    await ask(accounts.create_account, CreateAccount(alias=name, os_user="www"))
    await ask(accounts.change_account, ChangeAccount(alias=name, os_user="app", description="of the shop"))


async def changed_file(ask, name):
    await ask(files.record_file, recorded(name, secrets.token_hex(32)), by=OPERATOR)
    await ask(files.change_file, ChangeFile(name=name, tags=("web",)), by=OPERATOR)


async def changed_script(ask, name):
    made = CreateScript(name=name, kind=ScriptKind.USER, text="echo 1\n", language=Language.SHELL)
    await ask(scripts.create_script, made, by=OPERATOR)
    await ask(scripts.change_script, ChangeScript(name=name, description="says hello"), by=OPERATOR)
    await ask(scripts.save_version, SaveVersion(name=name, text="echo 2\n"), by=OPERATOR)


async def changed_template(ask, name):
    await ask(templates.save_template, SaveTemplate(name=name, text="one", tags=("a",)), by=OPERATOR)
    after = SaveTemplate(name=name, text="one", description="of the shop", tags=("b",))
    await ask(templates.save_template, after, by=OPERATOR)


async def changed_variables(ask, name):
    for text in ('a: {b: 1}\npassword: !secret "one"', 'a: {b: 2}\nc: new\npassword: !secret "two"'):
        await ask(variables.set_variables, SetVariables(scope=f"group:{name}", text=text), by=OPERATOR)


MAKE = {
    "accounts": changed_account,
    "files": changed_file,
    "scripts": changed_script,
    "templates": changed_template,
    "variables": changed_variables,
}


@pytest.mark.parametrize(("call", "request_of", "expected"), LOSE, ids=lambda each: getattr(each, "subject", ""))
async def test_whoever_lost_a_race_is_told_who_changed_what(ask, fleet, call, request_of, expected):
    name = fleet.group(f"race-{secrets.token_hex(4)}")
    await MAKE[call.subject.split(".")[1]](ask, name)
    with pytest.raises(Conflict) as lost:
        await ask(call, request_of(name), by=ADMIN)
    told = lost.value
    assert told.reason.endswith(".changed_meanwhile")
    assert changes(told.details).items() >= expected.items()
    assert set(changes(told.details)) == set(expected)
    assert told.details["since"] == 1
    assert f"Since revision 1: {next(iter(changes(told.details)))}" in told.message


def test_every_call_that_may_lose_a_race_is_in_the_table():
    assert {call.subject for call, *_ in LOSE} == revised("config")


async def test_of_a_template_a_new_text_is_told_by_its_size(ask, fleet):
    name = f"race-{secrets.token_hex(4)}"
    for text in ("x" * 1000, "y" * 2000):
        await ask(templates.save_template, SaveTemplate(name=name, text=text))
    with pytest.raises(Conflict) as lost:
        await ask(templates.save_template, SaveTemplate(name=name, text="z", revision=1))
    assert "text (1000 characters) → (2000 characters)" in lost.value.message
