"""Files that are there whole or not at all, and readable by their owner only."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def keep(path: Path, make: Callable[[], bytes]) -> bytes:
    """The content of `path`, made first if it is not there. What was made once never changes."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        content = make()
        write(path, content)
        return content


def write(path: Path, content: bytes) -> None:
    """Replace `path` in one step, with mode 0600; a reader or a power cut sees the old or the new content."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_if_changed(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        write(path, content)
