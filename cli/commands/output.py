"""Reading what hosts said: whole, from an offset, as it comes, or by a word in it."""

import sys

import click

from cli import report
from cli.client import Client, typed
from cli.display import Form, emit, out, talk
from cli.exits import Refused
from cli.folding import counted, fold
from cli.following import Following
from cli.session import Session, data_options, pass_session
from cli.targets import kind_of
from contracts.runs import (
    HostResults,
    SearchOutput,
    SearchResults,
    search_output,
)


@click.command("output")
@click.argument("run")
@click.argument("host", required=False)
@click.option("--search", metavar="TEXT", help="Print the lines that hold this text, of one host or of all.")
@click.option("--case", is_flag=True, help="With --search: upper and lower case differ.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Skip so many bytes.")
@click.option("--follow", is_flag=True, help="Go on as more comes, until the host's part has ended.")
@data_options
@pass_session
def output(
    session: Session,
    run: str,
    host: str | None,
    search: str | None,
    case: bool,
    offset: int,
    follow: bool,
    form: Form,
) -> None:
    """Print what a host, or all hosts, put out.

    HOST is an id, a host name or an IP. Without one it is all hosts, equal outputs once.

    \b
    Examples:
      drover run output 0199a3f0c1d2ab34cd56 web1
      drover run output 0199a3f0c1d2ab34cd56 web1 --follow
      drover run output 0199a3f0c1d2ab34cd56 web1 --offset 65536 | less
      drover run output 0199a3f0c1d2ab34cd56 --search 'permission denied'
      drover run output 0199a3f0c1d2ab34cd56 --search timeout -o name | drover x 'ss -s' -t @-
    """
    client = session.client
    if search is not None:
        if follow or offset:
            raise click.UsageError("--search reads everything; it goes neither with --follow nor with --offset")
        _search(client, SearchOutput(run=run, text=search, ignore_case=not case), host, form)
    elif host is None:
        if follow or offset:
            raise click.UsageError("--follow and --offset need a host")
        _everything(client, run, form)
    elif form is not Form.TABLE:
        raise click.UsageError("the output of one host is text: leave -o away, or use `drover api`")
    else:
        found = find(client, run, host)
        for text in (
            Following(client, run, found, offset).texts() if follow else report.pieces(client, run, found, offset)
        ):
            out(text, newline=False)
            sys.stdout.flush()


def find(client: Client, run: str, name: str) -> str:
    """The id of the host of the run that goes by this id, host name or IP."""
    if kind_of(name) == "ids":
        return name
    everyone = typed(report.results(client, run), HostResults).hosts
    matching = [each.host for each in everyone if name in {each.hostname, each.ip}]
    if len(matching) == 1:
        return matching[0]
    if matching:
        ids = ", ".join(matching[:10])
        raise click.UsageError(f"{len(matching)} hosts of the run are called {name}; give one of the ids: {ids}")
    raise Refused(f"{name} is not part of this run", f"drover run hosts {run}", "run.host_unknown")


def _everything(client: Client, run: str, form: Form) -> None:
    content = report.results(client, run, head_bytes=report.HEAD_BYTES)
    hosts = typed(content, HostResults).hosts
    emit(
        form,
        content,
        lambda: [each.host for each in hosts],
        lambda: report.folds(client, run, fold(hosts), hosts, None),
    )


def _search(client: Client, request: SearchOutput, host: str | None, form: Form) -> None:
    content = client.all_pages(search_output, request)
    if host is not None:
        wanted = find(client, request.run, host)
        content["hosts"] = [each for each in content["hosts"] if each["host"] == wanted]
    found = typed(content, SearchResults).hosts

    def lines() -> None:
        for each in found:
            for match in each.matches:
                out(f"{each.hostname or each.host}:{match.line}:{match.text}")
            if each.count > len(each.matches):
                talk(f"{each.hostname or each.host}: {each.count - len(each.matches)} more lines match")

    emit(form, content, lambda: [each.host for each in found], lines)
    talk(f"{counted(sum(each.count for each in found), 'line')} on {counted(len(found), 'host')}")
