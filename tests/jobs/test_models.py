"""The pure parts: moves, counts, what is refused, pages that fit."""

import itertools
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.agents import MAX_SCRIPT_BYTES, MAX_SEALED_BYTES, Language
from contracts.errors import Conflict, Invalid
from contracts.hosts import Targets
from contracts.people import Principal
from contracts.runs import MASK, Counts, Parameter, StartRun
from contracts.states import RUN_MOVES, Outcome, RunState
from runtime.paging import MOST_PAGE_BYTES, fitting
from runtime.signing import BoxKey, seal
from services.jobs.paging import cut, fitting_text
from services.jobs.runs import model
from services.jobs.runs.checks import check, check_content
from services.jobs.runs.model import Fact, KeptParameter, RunRecord, Target, Wave

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def record(**fields):
    fields = {
        "id": "r", "name": "", "state": RunState.RUNNING, "revision": 1, "owner": "jobs-1",
        "by": Principal(kind="person", name="ann"), "created_at": NOW, "language": Language.SHELL, "script": "x",
        "script_sha256": "", "args": (), "parameters": (), "env": {}, "account": None, "timeout_s": 1,
        "kill_grace_s": 1, "offline_wait_s": 1, "targets": Targets(all=True), "hosts": 1, "targets_hash": "",
        "tries": 1, "counts": Counts(), "actions": (), **fields,
    }  # fmt: skip
    return RunRecord(**fields)


def wave(attempt, *hosts):
    targets = tuple(Target(id=host, idc="js", ip="", hostname="", box_key="") for host in hosts)
    return Wave(id=f"r-0-{attempt}-0", run="r", step=0, attempt=attempt, number=0, started_at=NOW, hosts=targets)


@pytest.mark.parametrize(("here", "there"), list(itertools.product(RunState, RunState)))
def test_a_run_moves_only_as_the_table_says(here, there):
    run = record(state=here)
    if there in RUN_MOVES[here]:
        assert run.to(there) is there
    else:
        with pytest.raises(Conflict) as refusal:
            run.to(there)
        assert refusal.value.reason == "run.wrong_state"


@pytest.mark.parametrize(
    ("state", "having", "end"),
    [
        (RunState.RUNNING, {"succeeded": 2}, RunState.SUCCEEDED),
        (RunState.RUNNING, {"succeeded": 1, "skipped": 1}, RunState.SUCCEEDED),
        *[(RunState.RUNNING, {"succeeded": 1, bad: 1}, RunState.FAILED) for bad in set(Outcome) - {"succeeded", "skipped"}],
        *[
            (RunState.STOPPING, {"succeeded": 1, stopped: 1}, RunState.STOPPED)
            for stopped in ("stopped", "cancelled", "stop_failed", "lost", "offline")
        ],
        (RunState.STOPPING, {"succeeded": 2}, RunState.SUCCEEDED),
        (RunState.STOPPING, {"succeeded": 1, "failed": 1}, RunState.FAILED),
        (RunState.STOPPING, {"timed_out": 1}, RunState.FAILED),
    ],
)  # fmt: skip
def test_a_run_ends_by_what_became_of_its_hosts(state, having, end):
    assert model.end_state(state, Counts(**having)) is end
    assert end in RUN_MOVES[state]


def test_the_newest_task_of_a_host_decides_and_a_report_wins_over_a_verdict():
    waves = [wave(1, "a", "b", "c"), wave(2, "b", "c")]
    facts = [
        Fact("r-0-1-0", "a", True, Outcome.SUCCEEDED),
        Fact("r-0-1-0", "b", True, Outcome.SUCCEEDED),
        Fact("r-0-2-0", "b", False, Outcome.OFFLINE),
        Fact("r-0-2-0", "c", True, Outcome.FAILED),
        Fact("r-0-2-0", "c", False, Outcome.OFFLINE),
    ]
    for order in itertools.permutations(facts):
        counts = model.counts_of(model.newest_tasks(model.hosts_by_task(waves)), order)
        assert counts == Counts(succeeded=1, offline=1, failed=1)
    assert [target.id for target in model.to_retry(waves, facts)] == ["b", "c"]


def test_the_tenth_try_is_newer_than_the_second():
    assert model.newest_tasks({"r-0-10-0": ["a"], "r-0-2-0": ["a"]}) == {"a": "r-0-10-0"}


def test_masked_values_are_not_shown():
    shown = model.shown(
        record(parameters=(KeptParameter(name="P", masked=True, sealed=b"x"), KeptParameter(name="Q", masked=False, value="q")))
    )  # fmt: skip
    assert [(each.name, each.value) for each in shown.parameters] == [("P", MASK), ("Q", "q")]


def asked(**fields):
    return StartRun(**{"script": "x", "targets": Targets(all=True), **fields})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"script": "é" * (MAX_SCRIPT_BYTES // 2 + 1)}, "run.script_too_large"),
        ({"args": tuple("x" * 8192 for _ in range(17))}, "run.arguments_too_large"),
        ({"env": {f"V{n}": "é" * 2048 for n in range(33)}}, "run.arguments_too_large"),
        ({"parameters": tuple(Parameter(name=f"P{n}", value="x" * 7000, masked=True) for n in range(2))}, "run.arguments_too_large"),
        ({"parameters": (Parameter(name="P", value="1"), Parameter(name="P", value="2", masked=True))}, "run.duplicate_parameter"),
        *[
            ({"env": {name: "x"}}, "run.refused_variable")
            for name in ("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "BASH_ENV", "ENV", "PYTHONPATH", "DROVER_TASK")
        ],
    ],
)  # fmt: skip
def test_what_can_never_run_is_refused(fields, reason):
    with pytest.raises(Invalid) as refusal:
        check(asked(**fields))
        check_content(asked(**fields))
    assert refusal.value.reason == reason


def test_what_is_as_large_as_allowed_is_taken():
    check_content(asked(script="x" * MAX_SCRIPT_BYTES))
    masked = tuple(Parameter(name=f"P{n}", value="x" * 6000, masked=True) for n in range(2))
    check_content(asked(parameters=masked))
    sealed = seal(msgspec.json.encode({each.name: each.value for each in masked}), BoxKey().public_key)
    assert len(sealed) <= MAX_SEALED_BYTES


@given(st.lists(st.text(max_size=50), max_size=30), st.integers(10, 500))
def test_a_page_fits_and_holds_at_least_one(items, most):
    page = fitting(items, most)
    assert page == items[: len(page)]
    assert bool(page) == bool(items)
    assert len(page) < 2 or len(msgspec.json.encode(page)) <= most + 2


def test_text_that_json_makes_six_times_larger_still_fits():
    text = "\x01" * 500_000
    assert len(msgspec.json.encode(fitting_text(text))) <= MOST_PAGE_BYTES
    assert text.startswith(fitting_text(text))


@given(st.text(max_size=20), st.integers(0, 60))
def test_cutting_ends_at_a_whole_character(text, most):
    kept = cut(text, most)
    assert text.startswith(kept)
    assert len(kept.encode()) <= most
    assert kept == text or len((kept + text[len(kept)]).encode()) > most
