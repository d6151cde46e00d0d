"""Runs a script with the library as an agent does, but without an agent."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from agent.outcome_files import RESULT_NAME, TAG_NAME, LeftBehind, read_left_behind
from agent.parameters import encode

LIBRARY = Path(__file__).resolve().parents[2] / "agent" / "lib"
SHELLS = ("dash", "bash")
PYTHON = sys.executable


class Ran(NamedTuple):
    code: int
    out: bytes
    err: str
    left: LeftBehind


def run(interpreter: str, script: str, work: Path, parameters: Mapping[str, str] | None = None) -> Ran:
    """`parameters` None: the run has none, and the script no descriptor."""
    environment = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "DROVER_LIB": str(LIBRARY / "drover.sh"),
        "PYTHONPATH": str(LIBRARY),
        "DROVER_RESULT": str(work / RESULT_NAME),
        "DROVER_TAG_FILE": str(work / TAG_NAME),
    }
    file = os.memfd_create("parameters")
    try:
        os.write(file, encode(parameters or {}))
        if parameters is not None:
            environment["DROVER_PARAMS_FD"] = str(file)
        done = subprocess.run(
            [interpreter, "-c", script], cwd=work, env=environment, pass_fds=[file], capture_output=True, check=False
        )
    finally:
        os.close(file)
    return Ran(done.returncode, done.stdout, done.stderr.decode(), read_left_behind(work))
