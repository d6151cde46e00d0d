"""Names that are made here: all of them are tokens, so they can stand in subjects as they are."""

import secrets
import time


def run_id() -> str:
    """Sorts by the time it was made (milliseconds), so that newest-first lists page by key."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(4)}"


def host_id() -> str:
    """Random and never used again: a host that enrols anew gets another."""
    return f"h-{secrets.token_hex(6)}"


def instance_id(service: str) -> str:
    """One process of a service, from start to stop."""
    return f"{service}-{secrets.token_hex(4)}"


def trace_id() -> str:
    return secrets.token_hex(8)


def secret() -> str:
    """A secret that people or programs carry: 256 random bits."""
    return secrets.token_urlsafe(32)
