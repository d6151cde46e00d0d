"""Looking at runs and stopping them."""

import click
import msgspec

from cli import report
from cli.client import typed
from cli.commands.output import output
from cli.commands.start import retry_run, start_run, watch_run
from cli.display import Form, emit, facts, out, rows, talk, when
from cli.folding import ending, in_words
from cli.session import Session, data_options, pass_session
from cli.words import Word
from contracts.runs import HostResults, ListRuns, Run, RunRef, Runs, StopRun, list_runs, show, stop
from contracts.states import Outcome, RunState


@click.group("run")
def run_group() -> None:
    """Start, watch and look at runs."""


@run_group.command("list")
@click.option("--state", multiple=True, type=Word(RunState), help="Only runs in this state; repeatable.")
@click.option("--by", default="", metavar="NAME", help="Only runs of this person or integration.")
@click.option("-n", "--number", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
@data_options
@pass_session
def list_(session: Session, state: tuple[RunState, ...], by: str, number: int, form: Form) -> None:
    """List runs, newest first.

    \b
    Examples:
      drover run list
      drover run list --state failed --by alice -n 10
      drover run list --state running -o name | xargs -n1 drover run stop
    """
    content = session.client.all_pages(list_runs, ListRuns(states=state, by=by, limit=min(number, 200)), number)
    runs = typed(content, Runs).runs

    def table() -> None:
        rows(
            ("RUN", "STATE", "HOSTS", "BY", "CREATED", "RESULTS", "NAME"),
            [
                (
                    each.id,
                    each.state,
                    str(each.hosts),
                    each.by.name,
                    when(each.created_at),
                    in_words(each.counts),
                    each.name,
                )
                for each in runs
            ],
        )

    emit(form, content, lambda: [each.id for each in runs], table)


@run_group.command("show")
@click.argument("run")
@data_options
@pass_session
def show_(session: Session, run: str, form: Form) -> None:
    """Show what was asked, and how it stands.

    \b
    Examples:
      drover run show 0199a3f0c1d2ab34cd56
      drover run show 0199a3f0c1d2ab34cd56 -o json
    """
    content, found = session.client.both(show, RunRef(run=run))
    emit(form, content, lambda: [found.id], lambda: _table(found))


def _table(run: Run) -> None:
    facts(
        [
            ("run", run.id),
            ("name", run.name),
            ("state", run.state),
            ("hosts", f"{run.hosts}: {in_words(run.counts)}"),
            ("by", f"{run.by.name} ({run.by.kind})"),
            ("created", when(run.created_at)),
            ("started", when(run.started_at)),
            ("ended", when(run.ended_at)),
            ("account", _account(run)),
            ("arguments", " ".join(run.args)),
            ("parameters", "\n".join(f"{each.name}={each.value}" for each in run.parameters)),
            ("environment", "\n".join(f"{name}={value}" for name, value in run.env.items())),
            ("variables", msgspec.json.encode(run.variables).decode() if run.variables else ""),
            ("time-out", f"{run.timeout_s} s"),
            ("refused", f"{run.refusal.message} [{run.refusal.reason}]" if run.refusal else ""),
            ("tries", str(run.tries) if run.tries > 1 else ""),
            ("actions", "\n".join(f"{when(a.at)} {a.what} by {a.by.name} {a.why}".rstrip() for a in run.actions)),
            ("stored script", f"{run.stored.name}@{run.stored.version}" if run.stored else ""),
            ("script", run.script.rstrip("\n")),
        ]
    )


def _account(run: Run) -> str:
    """The alias, and whom it means if that is another name."""
    if run.account_alias in {"", run.account}:
        return run.account or ""
    return f"{run.account_alias} ({run.account or 'whatever the agent runs as'})"


@run_group.command("hosts")
@click.argument("run")
@click.option("--outcome", multiple=True, type=Word(Outcome), help="Only these; repeatable.")
@click.option("--failed", is_flag=True, help="Only hosts that did not succeed.")
@data_options
@pass_session
def hosts(session: Session, run: str, outcome: tuple[Outcome, ...], failed: bool, form: Form) -> None:
    """Where each host of a run stands.

    \b
    Examples:
      drover run hosts 0199a3f0c1d2ab34cd56
      drover run hosts 0199a3f0c1d2ab34cd56 --outcome offline --outcome lost
      drover run hosts 0199a3f0c1d2ab34cd56 --failed -o name | drover x 'df -h /' -t @-
    """
    content = report.results(session.client, run, outcome or (report.FAILED if failed else ()))
    found = typed(content, HostResults).hosts

    def table() -> None:
        rows(
            ("ID", "HOSTNAME", "IP", "IDC", "STATE", "ENDED", "OUTPUT", "HOW"),
            [
                (h.host, h.hostname, h.ip, h.idc, h.state, when(h.ended_at), str(h.output_bytes), _how(ending(h)))
                for h in found
            ],
        )

    emit(form, content, lambda: [each.host for each in found], table)


def _how(ended: str) -> str:
    """Without the state, which has a column of its own."""
    return ended.partition(", ")[2]


@run_group.command("stop")
@click.argument("run")
@click.option("--why", default="", help="Kept with the run.")
@data_options
@pass_session
def stop_(session: Session, run: str, why: str, form: Form) -> None:
    """Stop a run.

    Running scripts are ended; hosts that have not begun never do.

    \b
    Examples:
      drover run stop 0199a3f0c1d2ab34cd56
      drover run stop 0199a3f0c1d2ab34cd56 --why 'wrong version'
    """
    content, found = session.client.both(stop, StopRun(run=run, why=why))
    emit(form, content, lambda: [found.id], lambda: out(f"{found.id} {found.state}"))
    talk(f"see how it ends: drover run watch {found.id}")


for command in (start_run, retry_run, watch_run, output):
    run_group.add_command(command)
