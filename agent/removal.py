"""Removes what scripts leave behind, however deep they have nested it.

`shutil.rmtree` calls itself for each level, so a thousand folders inside each other end it with a RecursionError, and
with it whoever asked: an agent could neither free such a task nor start again.
"""

import contextlib
import os
from itertools import count
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TOP = "."


def remove(folder: Path) -> None:
    """As far as that is possible. Never follows a link. Blocking."""
    with contextlib.suppress(OSError):
        top = os.open(folder, _FOLDER)
        try:
            _empty(top)
        finally:
            os.close(top)
        folder.rmdir()


def _empty(top: int) -> None:
    """Each folder is lifted to the top before anybody looks into it, so that nothing is ever deep."""
    lifted = (f"{os.urandom(4).hex()}-{number}" for number in count())
    waiting = [_TOP]
    while waiting:
        name = waiting.pop()
        with contextlib.suppress(OSError):
            here = os.open(name, _FOLDER, dir_fd=top)
            try:
                for below in _without_files(here):
                    with contextlib.suppress(OSError):
                        waiting.append(below if name == _TOP else _lift(here, below, top, next(lifted)))
            finally:
                os.close(here)
            if name != _TOP:
                os.rmdir(name, dir_fd=top)


def _without_files(here: int) -> list[str]:
    """Remove the files of a folder; the folders in it."""
    with os.scandir(here) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if not is_folder:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=here)
    return [name for name, is_folder in found if is_folder]


def _lift(here: int, name: str, top: int, lifted: str) -> str:
    os.rename(name, lifted, src_dir_fd=here, dst_dir_fd=top)
    return lifted
