"""Server-sent events as bytes. Pure."""

from typing import Any

import msgspec

RETRY_MS = 1000
OPENING = f": drover\nretry: {RETRY_MS}\n\n".encode()
COMMENT = b": still here\n\n"


def event(kind: str, data: bytes, sequence: int | None = None) -> bytes:
    """One event. `data` is JSON, in which a line feed can only be white space."""
    number = b"" if sequence is None else b"id: %d\n" % sequence
    return b"%sevent: %s\ndata: %s\n\n" % (number, kind.encode(), data.replace(b"\n", b" ").replace(b"\r", b" "))


def own(kind: str, **fields: Any) -> bytes:
    """An event of the gateway itself. It has no number: it is not in the stream of events."""
    return event(kind, msgspec.json.encode(fields))
