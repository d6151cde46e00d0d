"""The tree of commands, and what holds for all of them."""

import os
import sys
from typing import Any

import click
from click.shell_completion import get_completion_class

from cli.commands.account import context_group, login, logout, password, who
from cli.commands.accounts import account_group
from cli.commands.audit import audit_group
from cli.commands.collector import collector_group
from cli.commands.doctor import doctor
from cli.commands.file import file_group
from cli.commands.group import group_group
from cli.commands.host import host_group
from cli.commands.host_changes import HOST_COMMANDS
from cli.commands.imports import import_group
from cli.commands.integration import integration_group
from cli.commands.person import person_group
from cli.commands.plain import api
from cli.commands.role import role_group
from cli.commands.run import run_group
from cli.commands.sessions import session_group
from cli.commands.sources import source_group
from cli.commands.start import start_run
from cli.commands.stored_scripts import script_group
from cli.commands.template import template_group
from cli.commands.tokens import join_token_group, token_group
from cli.commands.topology import attribute_group, topology_group
from cli.commands.variables import var_group
from cli.commands.virtual import virtual_group
from cli.exits import Exit
from cli.session import context_option

PROGRAM = "drover"


class Root(click.Group):
    """Turns what a terminal does to a program into exit statuses of their own."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except (KeyboardInterrupt, click.Abort):
            click.echo("", err=True)
            raise click.exceptions.Exit(Exit.INTERRUPTED) from None
        except BrokenPipeError:
            _forget_stdout()
            raise click.exceptions.Exit(Exit.BROKEN_PIPE) from None
        return result


def _forget_stdout() -> None:
    """What is still buffered has no reader; flushing it at exit would complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _tell_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    """Looked up only when asked for: it reads the installation's records."""
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"{PROGRAM} {version(PROGRAM)}")
        except PackageNotFoundError:
            click.echo(f"{PROGRAM}, run from its sources")
        ctx.exit()


@click.group(PROGRAM, cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_tell_version, help="Print the version."
)
@context_option
@click.pass_context
def drover(ctx: click.Context) -> None:
    """Operate fleets of servers: run scripts on thousands of hosts and see what they said.

    Data goes to stdout and talk to stderr. -o json prints the API's objects; -o name prints one name per line, which
    -t @- reads. DROVER_URL and DROVER_TOKEN win over the context. Each command has examples: drover COMMAND --help.

    \b
    Examples:
      drover login https://drover.example
      drover host list --idc js
      drover x 'uptime' -t idc=js
      drover run list --state failed
    """
    if "NO_COLOR" in os.environ:
        ctx.color = False


@drover.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what a shell needs to complete commands and options.

    \b
    Examples:
      drover completion bash > ~/.local/share/bash-completion/completions/drover
      drover completion zsh > "${fpath[1]}/_drover"
      drover completion fish > ~/.config/fish/completions/drover.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    click.echo(kind(drover, {}, PROGRAM, "_DROVER_COMPLETE").source())


for command in (
    login,
    logout,
    who,
    password,
    context_group,
    host_group,
    topology_group,
    attribute_group,
    import_group,
    source_group,
    virtual_group,
    collector_group,
    group_group,
    file_group,
    account_group,
    script_group,
    run_group,
    var_group,
    template_group,
    token_group,
    join_token_group,
    person_group,
    role_group,
    session_group,
    integration_group,
    audit_group,
    doctor,
    api,
):
    drover.add_command(command)
drover.add_command(start_run, "x")
for command in HOST_COMMANDS:
    host_group.add_command(command)
