"""Who sits in front of it: a person at a terminal can be asked and shown progress, a program cannot."""

import os
import sys


def can_ask() -> bool:
    """Both the question and the answer need a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def can_show_progress() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in {"", "dumb"}
