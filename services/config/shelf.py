"""Scripts and templates as files, at their fixed place below the depot's folder.

MongoDB has the truth; these are copies for whoever reads, compares or backs up files.
"""

import contextlib
import os
from pathlib import Path

from contracts.scripts import Script, ScriptKind
from contracts.tokens import token


def of_script(depot: Path, script: Script, number: int) -> Path:
    """`scripts/system/<name>/<version>` or `scripts/user/<owner>/<name>/<version>`: names and owners are tokens that
    begin with no dot, so none of them leads elsewhere."""
    folder = depot / "scripts" / script.kind
    if script.kind is ScriptKind.USER:
        folder /= token(script.owner)
    return folder / script.name / str(number)


def of_template(depot: Path, name: str, revision: int) -> Path:
    """`templates/<name>/<revision>`; a name begins with no dot and has no slash."""
    return depot / "templates" / name / str(revision)


def lay_out(path: Path, text: str) -> None:
    """Write a version's text, whole or not at all. One that is there is left: versions never change. Blocks."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
