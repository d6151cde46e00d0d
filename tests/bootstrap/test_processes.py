"""Whatever the processes of a plane have started, nothing of it is left."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.processes import honcho
from bootstrap.state import State
from tests.bootstrap.leftovers import belonging
from tests.servers import until

PLANE = """
import sys
from pathlib import Path
from bootstrap.processes import Stopped, honcho, orphans_end, signals_stop
from bootstrap.processes import honcho
from bootstrap.state import State

state = State(Path(sys.argv[1]))
with state.held() as lock:
    try:
        with signals_stop(), orphans_end(), honcho(state, "drover", lock) as part:
            part.process.wait()
            print(part.ended_first)
            sys.exit(7)
    except Stopped as stopped:
        sys.exit(stopped.exit_status)
"""
STUBBORN = "trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' & while :; do sleep 1; done"
"""Ignores TERM, and so does its child, which is in a session of its own."""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "plane.env").write_text("A=b\n")
    return tmp_path


@contextlib.contextmanager
def started(state: Path, procfile: str) -> Iterator[subprocess.Popen[bytes]]:
    (state / "Procfile.drover").write_text(procfile)
    command = ["env", "--ignore-signal=INT,QUIT", sys.executable, "-c", PLANE, str(state)]  # as in the background
    with subprocess.Popen(
        command, cwd=state, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    ) as plane:
        try:
            yield plane
        finally:
            for pid in belonging(state):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_nothing_is_left_after_a_signal(state: Path, number: signal.Signals) -> None:
    with started(state, f"polite: exec sleep 600\nstubborn: exec >/dev/null 2>&1; {STUBBORN}\n") as plane:
        await until(lambda: len(belonging(state)) >= 8, "everything runs")

        plane.send_signal(number)

        assert plane.wait(120) == 128 + number
        assert belonging(state) == set()


async def test_nothing_is_left_when_one_process_ends_by_itself(state: Path) -> None:
    with started(state, f"stubborn: exec >/dev/null 2>&1; {STUBBORN}\nshort: sleep 1; exit 3\n") as plane:
        assert plane.wait(120) == 7
        assert belonging(state) == set()
        assert plane.stdout is not None
        assert plane.stdout.read() == b"short\n"


def test_a_honcho_that_was_killed_is_named_by_its_part_which_has_a_log(state: Path) -> None:
    with State(state).held() as lock, honcho(State(state), "drover", lock) as part:
        part.process.kill()
        part.process.wait()
        assert State(state).log(part.ended_first).exists()
