"""What a run came to: results of its hosts, folded, with their output; and the exit status that follows from it."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from cli.client import Client, typed
from cli.display import Form, emit, out, printable, talk
from cli.exits import Exit
from cli.folding import Fold, counted, fold, heading, in_words, labels
from contracts.runs import (
    HostResult,
    HostResults,
    ListHostResults,
    ReadOutput,
    Run,
    RunRef,
    list_host_results,
    read_output,
    show,
)
from contracts.states import GOOD, Outcome, RunState

HEAD_BYTES = 2048
"""Output asked for together with the results. Most outputs are shorter, and need no request of their own."""
LINES_ON_TERMINAL = 200
FAILED = tuple(each for each in Outcome if each not in GOOD)


def results(client: Client, run: str, outcomes: tuple[Outcome, ...] = (), head_bytes: int = 0) -> dict[str, Any]:
    """All pages of the results, as the API wrote them."""
    return client.all_pages(list_host_results, ListHostResults(run=run, outcomes=outcomes, head_bytes=head_bytes))


def finish(client: Client, run: Run, form: Form, *, failed: bool, lines: int | None) -> Exit:
    """Print what became of the hosts, and last, on stderr, the counts and the run's id."""
    content = results(client, run.id, FAILED if failed else (), HEAD_BYTES)
    hosts = typed(content, HostResults).hosts
    found = fold(hosts)

    def names() -> list[str]:
        return [each.host for each_fold in found for each in each_fold.hosts]

    data: dict[str, Any] = {}
    if form is Form.JSON:
        data = {"run": client.both(show, RunRef(run=run.id))[0], "hosts": content["hosts"]}
    emit(form, data, names, lambda: folds(client, run.id, found, hosts, lines))
    sys.stdout.flush()
    talk(f"run {run.id} {run.state}: {counted(run.hosts, 'host')}: {in_words(run.counts)}")
    return Exit.SUCCEEDED if run.state is RunState.SUCCEEDED else Exit.FAILED_HOSTS


def folds(client: Client, run: str, found: Sequence[Fold], hosts: Sequence[HostResult], lines: int | None) -> None:
    """Each fold's heading and, once, the output that its hosts share."""
    called = labels(hosts)
    if lines is None and sys.stdout.isatty():
        lines = LINES_ON_TERMINAL
    for made in found:
        colour = "green" if made.good else "red"
        click.secho(printable(heading(made, called)).replace("\n", " "), bold=True, fg=colour)
        if made.one.output_bytes and lines != 0:
            _output(client, run, made.one, lines)


def _output(client: Client, run: str, one: HostResult, lines: int | None) -> None:
    """The whole output or, when `lines` are wanted, its beginning and what to type for the rest."""
    whole = len(one.head.encode()) >= one.output_bytes
    last, left = "\n", lines
    for text in (one.head,) if whole else pieces(client, run, one.host):
        shown = text if left is None else "".join(text.splitlines(keepends=True)[:left])
        out(shown, newline=False)
        last = shown[-1:] or last
        if left is not None:
            left -= shown.count("\n")
            if len(shown) < len(text):
                talk(f"  … more: drover run output {run} {one.host}")
                break
    if last != "\n":
        out("")
    if one.output_dropped:
        talk(f"  {one.output_dropped} bytes were more than the host keeps")


def pieces(client: Client, run: str, host: str, offset: int = 0) -> Iterator[str]:
    """A host's output as far as it is stored."""
    while True:
        piece = client.call(read_output, ReadOutput(run=run, host=host, offset=offset))
        yield piece.text
        if piece.next_offset >= piece.stored_bytes or piece.next_offset <= offset:
            return
        offset = piece.next_offset
