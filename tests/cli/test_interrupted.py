"""Ctrl-C before anything of the command line is there."""

import subprocess
import sys

import pytest

from cli.__main__ import INTERRUPTED
from cli.exits import Exit

INTERRUPT = """
import runpy, signal, sys

class Interrupt:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == sys.argv[1]:
            signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupt)
runpy.run_module("cli", run_name="__main__", alter_sys=False)
"""


@pytest.mark.parametrize("module", ["click", "cli.exits", "cli.app", "msgspec"])
def test_an_interrupted_import_ends_it_quietly(module: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPT, module], capture_output=True, text=True, check=False, timeout=60
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (INTERRUPTED, "", "")
    assert INTERRUPTED == Exit.INTERRUPTED
