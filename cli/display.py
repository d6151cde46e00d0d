"""What is printed: data on stdout in the form that was asked for, talk on stderr."""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from io import StringIO
from typing import Any

import click
import msgspec

from contracts.states import Live, Outcome, RunState

COLOURS: dict[str, str] = {
    **dict.fromkeys((RunState.SUCCEEDED, Outcome.SUCCEEDED, "online", "ok"), "green"),
    **dict.fromkeys((RunState.RUNNING, Live.SENT, Live.ACCEPTED, Live.RUNNING), "cyan"),
    **dict.fromkeys((RunState.PENDING, RunState.STOPPING, RunState.STOPPED, Outcome.CANCELLED, "skipped"), "yellow"),
    **dict.fromkeys((Outcome.FAILED, Outcome.TIMED_OUT, Outcome.STOP_FAILED, Outcome.REFUSED), "red"),
    **dict.fromkeys((Outcome.OFFLINE, Outcome.LOST, "offline", "wrong"), "red"),
}
COLOUR_SEQUENCE = re.compile(r"\x1b\[[0-9;:]*m")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
UNBOUNDED = 100_000
"""Columns of a table that nobody looks at: a program wants whole lines."""


class Form(StrEnum):
    TABLE = "table"
    JSON = "json"
    NAME = "name"


def talk(text: str) -> None:
    click.echo(printable(text) if sys.stderr.isatty() else text, err=True)


def out(text: str, *, newline: bool = True) -> None:
    """Text that came from a host or the server. Only a terminal needs protection from it; a program gets every byte,
    which is why this is not click.echo: that one takes colours out."""
    sys.stdout.write((printable(text) if sys.stdout.isatty() else text) + ("\n" if newline else ""))


def printable(text: str) -> str:
    """The text without the power to move the cursor, change the title or rewrite what stands above it."""
    plain = COLOUR_SEQUENCE.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", plain)


def emit(form: Form, data: Any, names: Callable[[], Iterable[str]], table: Callable[[], None]) -> None:
    """Print `data`, an object of the API as it came, in the form that was asked for."""
    if form is Form.JSON:
        click.echo(msgspec.json.format(msgspec.json.encode(data)).decode())
    elif form is Form.NAME:
        for name in names():
            click.echo(name)
    else:
        table()


def rows(headings: Sequence[str], content: Iterable[Sequence[str]]) -> None:
    """A table without lines, so that `awk` can read it. Cells that hold a state get its colour on a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in content:
        table.add_row(*(Text(printable(cell).replace("\n", " "), style=COLOURS.get(cell, "")) for cell in row))
    console = Console(file=StringIO(), force_terminal=terminal, width=None if terminal else UNBOUNDED)
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def facts(content: Iterable[tuple[str, str]]) -> None:
    """Name and value, one pair per line, for showing one thing; what is empty stays away."""
    told = [(name, value) for name, value in content if value]
    width = max(len(name) for name, _ in told)
    for name, value in told:
        shown = printable(value).replace("\n", "\n" + " " * (width + 2))
        click.echo(f"{name.ljust(width)}  {click.style(shown, fg=COLOURS.get(value))}")


def when(moment: datetime | None) -> str:
    """In the zone of whoever reads, with its name."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if moment else ""
