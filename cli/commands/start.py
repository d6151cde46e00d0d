"""Starting a run, and following it to its end."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click
import msgspec

from cli import scripts, targets
from cli.client import Client, typed
from cli.display import Form, emit, out, rows, talk
from cli.durations import Duration
from cli.exits import Exit, Refused
from cli.folding import counted
from cli.progress import Bar
from cli.report import finish
from cli.session import Session, data_options, pass_session
from cli.terminal import can_ask
from cli.watching import Watch, how_to_go_on
from cli.words import Version
from contracts.agents import Language
from contracts.hosts import ResolveTargets, Targets, TargetSet, resolve_targets
from contracts.runs import RetryRun, Run, RunRef, StartRun, StoredScript, retry, show, start

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Following:
    """How to watch, and what to print at the end."""

    timeout: int | None
    no_progress: bool
    failed: bool
    lines: int | None


def following_options(command: F) -> F:
    """Adds the options of Following, handed over as one `following`."""

    @functools.wraps(command)
    def gathered(*args: Any, **options: Any) -> Any:
        names = Following.__dataclass_fields__
        following = Following(**{name: options.pop(name) for name in names})
        return command(*args, **options, following=following)

    for option in (
        click.option(
            "--lines", type=click.IntRange(min=0), help="Lines of each output; default: all, 200 on a terminal."
        ),
        click.option("--failed", is_flag=True, help="Print only hosts that did not succeed."),
        click.option("--no-progress", is_flag=True, help="No bar, also on a terminal."),
        click.option("--timeout", type=Duration(), help="Stop watching after this long (exit status 6)."),
    ):
        option(gathered)
    return gathered  # type: ignore[return-value]


detach_option = click.option("--detach", is_flag=True, help="Do not watch; print the run's id.")


START_OPTIONS = (
    click.option("--idempotency-key", default="", help="Starting again with this key finds the same run."),
    click.option("--expect-hosts", type=click.IntRange(min=1), help="Start only if it is exactly this many hosts."),
    click.option("-y", "--yes", is_flag=True, help="Do not ask, however many hosts it is."),
    click.option(
        "--ask-above",
        type=click.IntRange(min=0),
        default=20,
        show_default=True,
        help="At a terminal, ask before a run on more hosts than this.",
    ),
    click.option("--dry-run", is_flag=True, help="Print the hosts that would be chosen; start nothing."),
    click.option(
        "--offline-wait", type=Duration(most="1d"), default="15s", show_default=True, help="Wait for hosts away."
    ),
    click.option(
        "--timeout-script", type=Duration("1s", "3d"), default="2h", show_default=True, help="Time for each host."
    ),
    click.option(
        "--account",
        help="As whom the script runs, see drover account list; left out: the hosts' default, or the agent's own.",
    ),
    click.option("--env", multiple=True, metavar="NAME=VALUE", help="Environment variable of the script."),
    click.option(
        "--secret",
        multiple=True,
        metavar="NAME[=@FILE]",
        help="Masked parameter: from the environment, a file, or asked for. Never shown.",
    ),
    click.option(
        "--param",
        multiple=True,
        metavar="NAME=VALUE",
        help='Read in the script by drover_param NAME, after . "$DROVER_LIB".',
    ),
    click.option(
        "--var",
        multiple=True,
        metavar="KEY=VALUE",
        help="Read in the script by drover_var KEY, such as region.id; wins over those of hosts and groups.",
    ),
    click.option("--name", default="", help="What to call the run."),
    click.option("--python", is_flag=True, help="The script is Python. So is -f FILE.py."),
    click.option(
        "--script",
        type=Version(),
        metavar="NAME[@VERSION]",
        help="A stored script, the version that is online if none is named; all words are arguments.",
    ),
    click.option("-f", "--file", metavar="FILE", help="Script from a file, - for stdin; all words are arguments."),
    click.option("--allow-unknown", is_flag=True, help="Pass over named hosts that do not exist."),
    click.option("-x", "--exclude", multiple=True, metavar="WHAT", help="Not these; written like -t."),
    click.option(
        "-t",
        "--target",
        multiple=True,
        metavar="WHAT",
        help="all, local, a host's id, IP or name, @FILE, @- (stdin), or KEY=VALUE[,VALUE] with id, ip, host, idc,"
        " room, rack, set, business, line, state, tag, group, or where='EXPRESSION'."
        " Several keys narrow; of several values of a key any will do.",
    ),
)


def start_options(command: F) -> F:
    for option in START_OPTIONS:
        option(command)
    return command


@click.command("start")
@click.argument("words", nargs=-1, metavar="[SCRIPT] [ARGUMENTS]...")
@start_options
@detach_option
@following_options
@data_options
@pass_session
def start_run(session: Session, /, form: Form, detach: bool, following: Following, **options: Any) -> None:
    """Run a script on hosts and show what they say.

    `drover x` and `drover run start` are the same. The run is followed to its end. Equal outputs are printed once,
    failures first. With -o name the hosts are printed, or with --detach the run's id. Ctrl-C ends the watching, not the
    run. Without a terminal nothing is ever asked.

    \b
    Examples:
      drover x 'uptime' -t idc=js
      drover x 'systemctl restart app' -t tag=web -t state=in_service -x 10.0.0.7 --expect-hosts 12
      drover x --script restart-app --param wait=5 -t tag=web
      drover x -f check.py --param threshold=90 -t all --detach
      drover x - -t local < script.sh
      drover host list --tag web -o name | drover x 'echo "$1"' -t @- -- --an-argument
      DB_PASSWORD=… drover x -f backup.sh --secret DB_PASSWORD --account backup -t db1
    """
    if "@-" in options["target"] + options["exclude"] and (options["file"] == "-" or options["words"][:1] == ("-",)):
        raise click.UsageError("stdin can hold the script or the hosts, not both")
    client = session.client
    chosen = targets.targets(client, options["target"], options["exclude"], allow_unknown=options["allow_unknown"])
    if options["dry_run"]:
        _preview(client, chosen, form)
        return
    request = _request(chosen, options)
    ask_above = None if options["yes"] or not can_ask() else options["ask_above"]
    agreed = _agree(client, chosen, ask_above=ask_above, expected=options["expect_hosts"])
    run = client.call(start, msgspec.structs.replace(request, expect_hash=agreed))
    follow(client, run, form, None if detach else following)


def _request(chosen: Targets, options: dict[str, Any]) -> StartRun:
    script, language, arguments = _script(options)
    named = options["script"]
    return StartRun(
        script=script,
        stored=StoredScript(name=named[0], version=named[1]) if named else None,
        language=language,
        targets=chosen,
        name=options["name"],
        args=arguments,
        parameters=scripts.parameters(options["param"], options["secret"]),
        env=scripts.pairs(options["env"], "--env"),
        variables=scripts.variables(options["var"]),
        account=options["account"],
        timeout_s=options["timeout_script"],
        offline_wait_s=options["offline_wait"],
        idempotency_key=options["idempotency_key"] or os.urandom(16).hex(),
    )


def _script(options: dict[str, Any]) -> tuple[str, Language, tuple[str, ...]]:
    """Text, language and arguments; with a stored script all words are arguments."""
    if options["script"] is None:
        return scripts.script_of(options["words"], options["file"], python=options["python"])
    if options["file"] is not None or options["python"]:
        raise click.UsageError("a stored script has its own text and language; leave out -f and --python")
    return "", Language.SHELL, tuple(options["words"])


def _preview(client: Client, chosen: Targets, form: Form) -> None:
    content = client.all_pages(resolve_targets, ResolveTargets(targets=chosen))
    found = typed(content, TargetSet)

    def table() -> None:
        rows(
            ("ID", "HOSTNAME", "IP", "IDC", "AGENT"),
            [(h.id, h.hostname, h.ip, h.idc, "online" if h.online else "offline") for h in found.hosts],
        )

    emit(form, content, lambda: [host.id for host in found.hosts], table)
    away = sum(not host.online for host in found.hosts)
    talk(f"would run on {counted(len(found.hosts), 'host')}" + (f", {away} of them offline" if away else ""))


def _agree(client: Client, chosen: Targets, *, ask_above: int | None, expected: int | None) -> str:
    """The hash of the set that was agreed to, so that the server starts on that one only; empty if nobody had to."""
    if expected is None and ask_above is None:
        return ""
    found = client.call(resolve_targets, ResolveTargets(targets=chosen, limit=1))
    told = counted(found.total, "host")
    if expected is not None and found.total != expected:
        raise Refused(f"that is {told}, not {expected}", "Nothing was started; see --dry-run.", "targets.changed")
    if expected is None and ask_above is not None and found.total > ask_above:
        answer = click.prompt(f"Run on {told}? Type {found.total} to start", err=True)
        if answer.strip() != str(found.total):
            raise click.UsageError("nothing was started")
    return found.hash


@click.command("retry")
@click.argument("run")
@click.option("--why", default="", help="Kept with the run.")
@detach_option
@following_options
@data_options
@pass_session
def retry_run(session: Session, run: str, why: str, form: Form, detach: bool, following: Following) -> None:
    """Try again on hosts that did not succeed.

    The run keeps its id and is followed like a new one.

    \b
    Examples:
      drover run retry 0199a3f0c1d2ab34cd56
      drover run retry 0199a3f0c1d2ab34cd56 --why 'disk replaced' --detach
    """
    tried = session.client.call(retry, RetryRun(run=run, why=why))
    follow(session.client, tried, form, None if detach else following)


@click.command("watch")
@click.argument("run")
@following_options
@data_options
@pass_session
def watch_run(session: Session, run: str, form: Form, following: Following) -> None:
    """Follow a run and show what its hosts said.

    A run that has ended is printed at once.

    \b
    Examples:
      drover run watch 0199a3f0c1d2ab34cd56
      drover run watch 0199a3f0c1d2ab34cd56 --timeout 10m -o json
      drover run watch 0199a3f0c1d2ab34cd56 --failed -o name | drover x 'dmesg | tail' -t @-
    """
    follow(session.client, session.client.call(show, RunRef(run=run)), form, following)


def follow(client: Client, run: Run, form: Form, following: Following | None) -> None:
    """Watch until the run is final, print its results and exit as it went; without `following` only tell its id."""
    if following is None:
        emit(form, client.both(show, RunRef(run=run.id))[0], lambda: [run.id], lambda: out(run.id))
        return
    talk(f"run {run.id} on {counted(run.hosts, 'host')}")
    try:
        with Bar(wanted=not following.no_progress) as bar:
            ended = Watch(client, run, bar, following.timeout).to_the_end()
    except KeyboardInterrupt:
        talk(f"\nNo longer watching; run {run.id} goes on.\n{how_to_go_on(run.id)}")
        raise click.exceptions.Exit(Exit.INTERRUPTED) from None
    raise click.exceptions.Exit(finish(client, ended, form, failed=following.failed, lines=following.lines))
