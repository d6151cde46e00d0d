"""Stored scripts: versions that never change, their states, who may do what, and what runs."""

import asyncio
import secrets

import msgspec
import pytest

from contracts import scripts
from contracts.agents import Language
from contracts.errors import Conflict, Forbidden, Invalid, NotFound
from contracts.people import Principal
from contracts.permissions import OF_PROGRAMS, Grant, Role, Scope
from contracts.runs import Parameter
from contracts.script_search import SearchScripts, search_scripts
from contracts.scripts import (
    ChangeScript,
    CloneScript,
    CreateScript,
    DeclaredParameter,
    DiffScript,
    LintText,
    ListScripts,
    ListScriptVersions,
    MoveVersion,
    ParameterType,
    ResolveScript,
    SaveVersion,
    ScriptKind,
    ScriptRef,
    VersionRef,
)
from runtime.signing import sha256
from tests.config.conftest import ADMIN, OPERATOR, VIEWER
from tests.config.profiling import profiled, whole_collections
from tests.conftest import service_bus

BOB = Principal(kind="person", name="bob", roles=(Role.OPERATOR,), via="session")


PROGRAM = Principal(kind="integration", name="i-x", grants=(Grant(permissions=tuple(OF_PROGRAMS)),))


def scoped(*permissions, name="sam", **scope):
    grant = Grant(permissions=("scripts:read", *permissions), scope=Scope(**scope))
    return Principal(kind="person", name=name, grants=(grant,), via="session")


@pytest.fixture
def name():
    return f"s-{secrets.token_hex(4)}"


@pytest.fixture
async def resolve(nats, config):
    """Asks as the jobs service does."""
    async with service_bus(nats, "jobs") as bus:

        async def asked(name, by, version=0, **values):
            given = tuple(Parameter(name=key, value=value) for key, value in values.items())
            request = ResolveScript(name=name, version=version, principal=by, parameters=given)
            return await bus.call(scripts.resolve_script, request)

        yield asked


async def refused(work, kind, reason):
    with pytest.raises(kind) as refusal:
        await work
    assert refusal.value.reason == reason
    return refusal.value


async def create(ask, name, text="echo hi\n", by=OPERATOR, **fields):
    return await ask(scripts.create_script, CreateScript(name=name, text=text, **fields), by=by)


async def online(ask, name, version=1, by=ADMIN):
    return await ask(scripts.put_online, MoveVersion(name=name, version=version), by=by)


async def test_versions_are_numbered_kept_and_never_changed(ask, name):
    first = await create(ask, name, "echo 1\n", note="why")
    assert (first.version.number, first.version.state, first.version.sha256) == (1, "draft", sha256(b"echo 1\n"))
    second = await ask(scripts.save_version, SaveVersion(name=name, text="echo 2\n", revision=1), by=OPERATOR)
    assert (second.version.number, second.script.newest, second.script.revision) == (2, 2, 2)
    again = await ask(scripts.save_version, SaveVersion(name=name, text="echo 2\n"), by=OPERATOR)
    assert (again.version, again.script.revision) == (second.version, 2)
    old = await ask(scripts.show_script_version, VersionRef(name=name, version=1), by=VIEWER)
    assert (old.text, old.version) == ("echo 1\n", first.version)
    page = await ask(scripts.list_script_versions, ListScriptVersions(name=name, limit=1))
    assert ([v.number for v in page.versions], page.next) == ([2], 2)
    rest = await ask(scripts.list_script_versions, ListScriptVersions(name=name, after=page.next))
    assert ([v.note for v in rest.versions], rest.next) == (["why"], 0)


async def test_a_text_is_kept_once(ask, name, database):
    text = f"echo {name}\n"
    await create(ask, name, text)
    await create(ask, f"{name}-2", text)
    assert await database["script_texts"].count_documents({"_id": sha256(text.encode())}) == 1


async def test_those_who_save_at_once_lose_nothing(ask, name):
    await create(ask, name)
    saved = [ask(scripts.save_version, SaveVersion(name=name, text=f"echo {n}\n"), by=OPERATOR) for n in range(4)]
    assert sorted([each.version.number for each in await asyncio.gather(*saved)]) == [2, 3, 4, 5]
    late = SaveVersion(name=name, text="echo late\n", revision=1)
    lost = await refused(ask(scripts.save_version, late, by=OPERATOR), Conflict, "script.changed_meanwhile")
    assert (lost.details["revision"], lost.details["by"]) == (5, "olga")


async def test_a_name_is_taken_once_whatever_its_kind(ask, name):
    await create(ask, name)
    await refused(create(ask, name, by=ADMIN, kind=ScriptKind.SYSTEM), Conflict, "script.exists")


async def test_at_most_one_version_is_online_and_an_older_one_may_come_back(ask, name):
    await create(ask, name)
    await ask(scripts.save_version, SaveVersion(name=name, text="echo 2\n"), by=OPERATOR)

    async def states():
        page = await ask(scripts.list_script_versions, ListScriptVersions(name=name))
        return {each.number: each.state for each in page.versions}

    assert (await online(ask, name, 1)).online == 1
    assert (await online(ask, name, 2)).online == 2
    assert await states() == {1: "retired", 2: "online"}
    assert (await online(ask, name, 1)).online == 1
    assert await states() == {1: "online", 2: "retired"}
    assert (await online(ask, name, 1)).revision == 5
    assert (await ask(scripts.retire_version, MoveVersion(name=name, version=1))).online == 0
    assert await states() == {1: "retired", 2: "retired"}


async def test_those_who_put_online_at_once_leave_one_online(ask, name, database):
    await create(ask, name)
    for n in (2, 3):
        await ask(scripts.save_version, SaveVersion(name=name, text=f"echo {n}\n"), by=OPERATOR)
    await asyncio.gather(*(online(ask, name, n) for n in (1, 2, 3)))
    [one] = await database["script_versions"].find({"script": name, "state": "online"}).to_list(None)
    assert one["number"] == (await ask(scripts.show_script, ScriptRef(name=name))).online


# who may do what


async def test_only_who_vets_writes_system_scripts_and_puts_online(ask, name):
    await refused(create(ask, name, kind=ScriptKind.SYSTEM), Forbidden, "auth.forbidden")
    await create(ask, name, by=ADMIN, kind=ScriptKind.SYSTEM)
    save = SaveVersion(name=name, text="echo mine\n")
    await refused(ask(scripts.save_version, save, by=OPERATOR), Forbidden, "script.not_yours")
    for call in (scripts.put_online, scripts.retire_version):
        await refused(ask(call, MoveVersion(name=name, version=1), by=OPERATOR), Forbidden, "auth.forbidden")


async def test_a_user_script_is_its_owners(ask, name):
    await create(ask, name)
    save = SaveVersion(name=name, text="echo bob\n")
    await refused(ask(scripts.save_version, save, by=BOB), Forbidden, "script.not_yours")
    await refused(
        ask(scripts.change_script, ChangeScript(name=name, tags=("x",)), by=BOB), Forbidden, "script.not_yours"
    )
    assert (await ask(scripts.save_version, save, by=ADMIN)).version.by == "ada"
    await refused(create(ask, f"{name}-v", by=VIEWER), Forbidden, "auth.forbidden")


async def test_a_clone_belongs_to_whoever_made_it(ask, name):
    await create(ask, name, "echo one\n", by=ADMIN, kind=ScriptKind.SYSTEM, tags=("web",), description="d")
    made = await ask(scripts.clone_script, CloneScript(name=name, to=f"{name}-2"), by=BOB)
    assert (made.script.owner, made.script.kind, made.script.tags, made.text) == ("bob", "user", ("web",), "echo one\n")
    assert made.version.note == f"clone of {name}@1"
    clone = CloneScript(name=name, to=f"{name}-3", kind=ScriptKind.SYSTEM)
    await refused(ask(scripts.clone_script, clone, by=BOB), Forbidden, "auth.forbidden")


async def test_a_script_outside_the_scope_is_not_there(ask, name, resolve):
    await create(ask, name, f"echo {name}", tags=("db",))
    await online(ask, name)
    sam = scoped("scripts:change", "scripts:vet", "runs:start", script_tags=("web",))
    requests = (
        (scripts.show_script, ScriptRef(name=name)),
        (scripts.list_script_versions, ListScriptVersions(name=name)),
        (scripts.show_script_version, VersionRef(name=name, version=1)),
        (scripts.diff_script, DiffScript(name=name, before=1, after=1)),
        (scripts.save_version, SaveVersion(name=name, text="x")),
        (scripts.change_script, ChangeScript(name=name)),
        (scripts.clone_script, CloneScript(name=name, to="mine")),
        (scripts.put_online, MoveVersion(name=name, version=1)),
        (scripts.retire_version, MoveVersion(name=name, version=1)),
    )
    for call, request in requests:
        foreign = await refused(ask(call, request, by=sam), NotFound, "script.unknown")
        nowhere = msgspec.structs.replace(request, name="nowhere")
        unknown = await refused(ask(call, nowhere, by=sam), NotFound, "script.unknown")
        assert foreign.message.replace(name, "nowhere") == unknown.message
    await refused(resolve(name, sam), NotFound, "script.unknown")
    assert name not in [s.name for s in (await ask(scripts.list_scripts, ListScripts(limit=200), by=sam)).scripts]
    assert (await ask(search_scripts, SearchScripts(text=name), by=sam)).scripts == []


async def test_tags_do_not_leave_a_scope_that_is_bound_to_them(ask, name):
    sam = scoped("scripts:change", script_tags=("web", "front"))
    await refused(create(ask, name, by=sam), Forbidden, "script.outside")
    await refused(create(ask, name, by=sam, tags=("web", "db")), Forbidden, "script.outside")
    await create(ask, name, by=sam, tags=("web",))
    more = ChangeScript(name=name, tags=("web", "db"))
    await refused(ask(scripts.change_script, more, by=sam), Forbidden, "script.outside")
    assert (await ask(scripts.change_script, ChangeScript(name=name, tags=("front",)), by=sam)).tags == ("front",)


async def test_tags_of_what_is_online_are_changed_by_who_vets(ask, name):
    await create(ask, name, tags=("mine",))
    await online(ask, name)
    widen = ChangeScript(name=name, tags=("safe",))
    await refused(ask(scripts.change_script, widen, by=OPERATOR), Forbidden, "script.not_yours")
    assert (await ask(scripts.change_script, ChangeScript(name=name, description="d"), by=OPERATOR)).description == "d"
    assert (await ask(scripts.change_script, widen)).tags == ("safe",)


# checks


async def test_shellcheck_speaks_and_its_errors_keep_a_script_from_going_online(ask, name):
    made = await create(ask, name, 'if [ $1 = x ]; then\n  echo "$undefined_thing\n')
    assert made.version.lint.by.startswith("shellcheck 0.")
    assert "error" in {finding.level for finding in made.version.lint.findings}
    refusal = await refused(online(ask, name), Conflict, "script.has_errors")
    assert refusal.details["errors"][0]["code"].startswith("SC")
    fixed = await ask(scripts.save_version, SaveVersion(name=name, text='. "$DROVER_LIB"\nrm $1\n'), by=OPERATOR)
    assert [(f.line, f.level, f.code) for f in fixed.version.lint.findings] == [(2, "info", "SC2086")]
    assert (await online(ask, name, 2)).online == 2


async def test_python_is_compiled_and_never_run(ask, name, tmp_path):
    told = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    good = await create(ask, name, told, language=Language.PYTHON)
    assert (good.version.lint.by.split()[0], good.version.lint.findings) == ("python", ())
    assert not (tmp_path / "ran").exists()
    broken = await ask(scripts.save_version, SaveVersion(name=name, text="def f(:\n  pass\n"), by=OPERATOR)
    [finding] = broken.version.lint.findings
    assert (finding.line, finding.level, finding.code) == (1, "error", "SyntaxError")
    await refused(online(ask, name, 2), Conflict, "script.has_errors")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("(" * 100_000, Language.PYTHON),
        ("x = " + "-" * 200_000 + "1", Language.PYTHON),
        ("x=[" + "0," * 250_000 + "]", Language.PYTHON),
        ("9" * 300_000, Language.PYTHON),
        ("\ufeffprint(1)", Language.PYTHON),
        ("return 1", Language.PYTHON),
        ("$(" * 50_000, Language.SHELL),
        ("if true; then\n" * 20_000, Language.SHELL),
        ("#!/usr/bin/env -S\necho", Language.SHELL),
        ("#!\n", Language.SHELL),
        ("#!/bin/zsh\necho ${(f)x}", Language.SHELL),
        ("\x01\x7f\u2028", Language.SHELL),
        ("#!/bin/sh\n# shellcheck source=/etc/passwd\n. /etc/passwd\n", Language.SHELL),
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_no_text_keeps_a_checker_busy_or_breaks_it(ask, text, language):
    lint = await ask(scripts.lint_script, LintText(text=text, language=language), by=VIEWER)
    assert "root:" not in str(lint)
    assert len(lint.findings) <= 200


async def test_a_text_that_is_too_large_is_refused(ask, name):
    for text in ("x" * (512 * 1024 + 1), "\x01" * 120_000):
        await refused(create(ask, name, text), Invalid, "script.too_large")


# parameters


@pytest.mark.parametrize(
    "declared",
    [
        {"type": ParameterType.CHOICE},
        {"choices": ("a",)},
        {"type": ParameterType.INTEGER, "default": "one"},
        {"type": ParameterType.BOOLEAN, "default": "yes"},
        {"type": ParameterType.CHOICE, "choices": ("a",), "default": "b"},
        {"masked": True, "default": "secret"},
        {"required": True, "default": "x"},
    ],
)
async def test_a_declaration_that_makes_no_sense_is_refused(ask, name, declared):
    parameters = (DeclaredParameter(name="p", **declared),)
    await refused(create(ask, name, parameters=parameters), Invalid, "script.bad_parameter")


async def test_two_parameters_of_one_name_are_refused(ask, name):
    parameters = (DeclaredParameter(name="p"), DeclaredParameter(name="p"))
    await refused(create(ask, name, parameters=parameters), Invalid, "script.bad_parameter")


PARAMETERS = (
    DeclaredParameter(name="release", required=True),
    DeclaredParameter(name="count", type=ParameterType.INTEGER, default="3"),
    DeclaredParameter(name="force", type=ParameterType.BOOLEAN),
    DeclaredParameter(name="channel", type=ParameterType.CHOICE, choices=("stable", "beta"), default="stable"),
    DeclaredParameter(name="password", masked=True),
)


async def test_a_run_gets_checked_values_with_defaults_and_masks(ask, name, resolve):
    await create(ask, name, parameters=PARAMETERS)
    await online(ask, name)
    found = await resolve(name, BOB, release="2", count="-5", password="x")
    assert [(p.name, p.value, p.masked) for p in found.parameters] == [
        ("release", "2", False), ("count", "-5", False), ("channel", "stable", False), ("password", "x", True),
    ]  # fmt: skip
    assert (found.version, found.sha256, found.text) == (1, sha256(b"echo hi\n"), "echo hi\n")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "run.parameter_missing"),
        ({"release": "1", "other": "x"}, "run.parameter_unknown"),
        ({"release": "1", "count": "1.5"}, "run.parameter_misfit"),
        ({"release": "1", "count": "１"}, "run.parameter_misfit"),
        ({"release": "1", "count": "1\n"}, "run.parameter_misfit"),
        ({"release": "1", "force": "True"}, "run.parameter_misfit"),
        ({"release": "1", "channel": "nightly"}, "run.parameter_misfit"),
    ],
)
async def test_values_that_do_not_fit_are_refused_without_repeating_them(ask, name, resolve, values, reason):
    await create(ask, name, parameters=PARAMETERS)
    await online(ask, name)
    refusal = await refused(resolve(name, BOB, **values), Invalid, reason)
    assert "nightly" not in refusal.message


# what runs


async def test_what_is_online_is_run_by_all_and_a_draft_by_who_may_write_it(ask, name, resolve):
    await create(ask, name, tags=("web",))
    await refused(resolve(name, BOB), Conflict, "script.not_online")
    await refused(resolve(name, BOB, 1), Conflict, "script.draft")
    assert (await resolve(name, OPERATOR, 1)).version == 1
    bounded = scoped("runs:start", "scripts:change", name="olga", script_tags=("web",))
    await refused(resolve(name, bounded, 1), Conflict, "script.draft")
    await online(ask, name)
    for by in (BOB, OPERATOR, bounded, PROGRAM):
        assert (await resolve(name, by)).version == 1
    await ask(scripts.retire_version, MoveVersion(name=name, version=1))
    await refused(resolve(name, ADMIN, 1), Conflict, "script.retired")
    await refused(resolve(name, ADMIN, 9), NotFound, "script.version_unknown")
    await refused(resolve(name, VIEWER), NotFound, "script.unknown")


async def test_only_services_ask_for_others(ask, name):
    await create(ask, name)
    request = ResolveScript(name=name, version=1, principal=ADMIN)
    await refused(ask(scripts.resolve_script, request, by=OPERATOR), Forbidden, "auth.forbidden")


# looking


async def test_a_diff_is_unified_and_says_what_it_compares(ask, name):
    await create(ask, name, "a\nb\nc")
    await ask(scripts.save_version, SaveVersion(name=name, text="a\nB\nc\n"), by=OPERATOR)
    told = await ask(scripts.diff_script, DiffScript(name=name, before=1, after=0))
    assert (told.before, told.after, told.cut) == (1, 2, False)
    assert told.text == (
        f"--- {name}@1\n+++ {name}@2\n@@ -1,3 +1,3 @@\n a\n-b\n-c\n\\ No newline at end of file\n+B\n+c\n"
    )


async def test_texts_that_differ_everywhere_do_not_keep_the_service_busy(ask, name):
    lines = [secrets.token_hex(2) for _ in range(80_000)]
    await create(ask, name, "\n".join(lines))
    other = "\n".join(reversed(lines))
    await ask(scripts.save_version, SaveVersion(name=name, text=other), by=OPERATOR)
    try:
        assert (await ask(scripts.diff_script, DiffScript(name=name, before=1, after=2))).cut
    except Invalid as refusal:
        assert refusal.reason == "script.too_different"


async def test_scripts_are_found_in_names_tags_and_contents(ask, name):
    mark = secrets.token_hex(6)
    await create(ask, f"{name}-a", f"echo one\necho {mark.upper()}\n")
    await create(ask, f"{name}-b", "true", tags=(mark,))
    await create(ask, f"{name}-{mark}", "true")
    await create(ask, f"{name}-c", "true")
    found, after = [], ""
    while True:
        page = await ask(search_scripts, SearchScripts(text=mark, limit=1, after=after), by=VIEWER)
        found += page.scripts
        after = page.next
        if not after:
            break
    assert sorted(each.script.name for each in found) == sorted([f"{name}-a", f"{name}-b", f"{name}-{mark}"])
    [line] = [line for each in found for line in each.lines]
    assert (line.version, line.line, line.text) == (1, 2, f"echo {mark.upper()}")


async def test_a_search_reads_what_is_online_and_the_newest(ask, name):
    mark = secrets.token_hex(6)
    for number, text in enumerate((f"echo {mark} 1\n", f"echo {mark} 2\n", "echo\n"), 1):
        if number == 1:
            await create(ask, name, text)
        else:
            await ask(scripts.save_version, SaveVersion(name=name, text=text), by=OPERATOR)
    assert (await ask(search_scripts, SearchScripts(text=mark))).scripts == []
    await online(ask, name, 1)
    [found] = (await ask(search_scripts, SearchScripts(text=mark))).scripts
    assert (found.count, found.lines[0].version) == (1, 1)


async def test_lists_are_paged_and_narrowed(ask, name):
    for suffix, by, kind in (
        ("a", OPERATOR, ScriptKind.USER),
        ("b", BOB, ScriptKind.USER),
        ("c", ADMIN, ScriptKind.SYSTEM),
    ):
        await create(ask, f"{name}-{suffix}", by=by, kind=kind, tags=(name, suffix))

    async def listed(**fields):
        found, after = [], ""
        while True:
            page = await ask(scripts.list_scripts, ListScripts(after=after, limit=2, **fields))
            found += [each.name[-1] for each in page.scripts]
            after = page.next
            if not after:
                return "".join(found)

    assert await listed(search=name) == "abc"
    assert await listed(tags=(name,), owner="bob") == "b"
    assert await listed(tags=("a", "c"), search=name) == "ac"
    assert await listed(tags=(name,), kinds=(ScriptKind.SYSTEM,)) == "c"


async def test_no_query_reads_a_whole_collection(ask, name, resolve, database):
    await create(ask, name, tags=("web",))
    async with profiled(database) as seen:
        await ask(scripts.save_version, SaveVersion(name=name, text="echo 2\n"), by=OPERATOR)
        await online(ask, name, 2)
        await online(ask, name, 1)
        await ask(scripts.change_script, ChangeScript(name=name, description="x"))
        await ask(scripts.show_script_version, VersionRef(name=name, version=0))
        await ask(scripts.list_script_versions, ListScriptVersions(name=name, after=5))
        await ask(scripts.diff_script, DiffScript(name=name, before=1, after=2))
        for given in ({}, {"search": "s"}, {"tags": ("web",)}, {"owner": "olga"}, {"kinds": (ScriptKind.USER,)}):
            await ask(scripts.list_scripts, ListScripts(after="a", **given))
        await ask(search_scripts, SearchScripts(text="echo"))
        await ask(search_scripts, SearchScripts(text="echo"), by=scoped(script_tags=("web",)))
        await resolve(name, BOB)
    assert whole_collections(seen, "scripts", "script_versions", "script_texts") == []


@pytest.mark.parametrize("bad", ["../x", "A", "", ".x", "x\n", "a/b", "x" * 65, "-x", "{$ne:1}", "a\0"])
async def test_a_name_that_is_none_is_refused(ask, bad):
    await refused(create(ask, bad), Invalid, "bus.malformed")
