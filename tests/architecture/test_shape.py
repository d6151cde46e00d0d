"""Budgets and promises that keep the code easy to hold in the head. Raise one only with its reason in the same commit."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from contracts import registry
from contracts.kinds import ANYONE
from contracts.permissions import PERMISSIONS, ROLES, SERVICES
from contracts.reasons import REASONS

ROOT = Path(__file__).parents[2]
ROOMS = ("contracts", "runtime", "services", "agent", "cli", "bootstrap", "bench")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
DIGEST_OF_DOTTED_WORDS = re.compile(r"^[a-z_]+\.[a-z_]+$")


def named(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 50, node.name


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name == "__init__.py"], ids=named)
def test_every_room_says_what_it_holds(path):
    if path.parent.name != "services":
        assert ast.get_docstring(ast.parse(path.read_text())), f"{named(path)} has no docstring"


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))], ids=named)
def test_links_between_pages_lead_somewhere(page):
    linked = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in linked if not (page.parent / link).exists()] == []


def test_no_name_says_nothing():
    empty = {"utils", "util", "common", "helpers", "helper", "manager", "base", "misc"}
    assert not [named(path) for path in SOURCES if {path.stem, *path.relative_to(ROOT).parts[:-1]} & empty]


def test_no_two_contracts_share_a_subject_or_a_route():
    calls = registry.calls()
    assert len({call.subject for call in calls}) == len(calls)
    routes = [(call.http.method, call.http.path) for call in calls if call.http]
    assert len(set(routes)) == len(routes)


def test_every_path_parameter_is_a_field_of_the_request():
    for call in registry.calls():
        if call.http:
            for name in re.findall(r"{(\w+)}", call.http.path):
                assert name in call.request.__struct_fields__, call.subject


def test_permissions_roles_and_calls_speak_the_same_words():
    assert {call.needs for call in registry.calls()} - {ANYONE} <= set(PERMISSIONS)
    assert frozenset().union(*ROLES.values(), *SERVICES.values()) <= set(PERMISSIONS)


def test_each_call_has_exactly_one_answerer():
    text = {service: _sources(ROOT / "services" / service) for service in {c.service for c in registry.calls()}}
    for call in registry.calls():
        name = next(n for m in registry.SPEAKERS for n, value in vars(m).items() if value is call)
        answered = re.findall(rf"answer\(\s*(?:\w+\.)?{name}\b", text[call.service])
        assert len(answered) == 1, f"{call.subject} is answered {len(answered)} times"


@pytest.mark.parametrize("path", sorted((ROOT / "services").glob("*/app.py")), ids=named)
def test_every_service_writes_what_it_changes_into_the_audit_trail(path):
    serving = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "serve"
    ]
    assert serving
    for call in serving:
        assert "auditor" in {keyword.arg for keyword in call.keywords}, f"{named(path)}:{call.lineno}"


def test_only_listed_reasons_are_raised():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                kinds = {
                    "Invalid",
                    "Forbidden",
                    "NotFound",
                    "Conflict",
                    "Unavailable",
                    "Unauthenticated",
                    "ServiceError",
                }
                first = node.args[0]
                if node.func.id in kinds and isinstance(first, ast.Constant) and first.value:
                    assert first.value in REASONS, f"{named(path)}:{node.lineno} {first.value}"


def test_every_listed_reason_can_happen():
    everything = "\n".join(path.read_text() for path in SOURCES if path.name != "reasons.py")
    assert not [reason for reason in REASONS if f'"{reason}"' not in everything]


def test_reasons_are_sentences():
    for reason, row in REASONS.items():
        assert DIGEST_OF_DOTTED_WORDS.match(reason) or reason == "internal"
        assert row.meaning.endswith("."), reason
        assert row.remedy.endswith((".", "?")), reason


def test_the_repository_names_no_place_of_one_machine():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    locks = [name for name in tracked if name.startswith("locks/")]
    assert locks
    for name in locks:
        assert "http" not in re.sub(r"^[\w.-]*http[\w.-]*==", "", (ROOT / name).read_text(), flags=re.M), name
    for name in tracked:
        path = ROOT / name
        if path.suffix in {".py", ".md", ".sh", ".toml", ".yaml"} or path.name in {"Makefile", "run"}:
            assert "/work" + "/main" not in path.read_text(), name


def _sources(folder):
    return "\n".join(path.read_text() for path in folder.rglob("*.py"))
