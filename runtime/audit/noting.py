"""What a handler tells the audit trail about the change it makes, without knowing of any trail."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from contracts.redaction import written


@dataclass
class Noted:
    before: str = ""
    after: str = ""


_noted: ContextVar[Noted | None] = ContextVar("noted", default=None)


def note(*, before: Any = None, after: Any = None) -> None:
    """What the object was, and what it has become. Secrets are left out; outside of a change this does nothing."""
    noted = _noted.get()
    if noted is None:
        return
    if before is not None:
        noted.before = written(before)
    if after is not None:
        noted.after = written(after)


@contextlib.contextmanager
def noting() -> Iterator[Noted]:
    """What is noted within the block, also by tasks that it starts."""
    noted = Noted()
    before = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(before)
