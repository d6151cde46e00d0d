"""The reference of the command line as Markdown, read from the commands themselves."""

import inspect
from collections.abc import Iterator

import click

from cli.app import PROGRAM, drover
from cli.exits import MEANINGS


def markdown() -> str:
    statuses = "\n".join(f"| {status.value} | {meaning} |" for status, meaning in MEANINGS.items())
    head = f"# The command line\n\n## Exit status\n\n| status | meaning |\n|---|---|\n{statuses}\n\n"
    return head + "\n".join(_pages(drover, click.Context(drover, info_name=PROGRAM)))


def _pages(command: click.Command, ctx: click.Context) -> Iterator[str]:
    """One chapter for the command and each one below it."""
    text, _, examples = inspect.cleandoc(command.help or "").partition("\b\n")
    yield f"## `{ctx.command_path}`\n\n{text.strip()}\n"
    subcommands = command.commands if isinstance(command, click.Group) else {}
    if not subcommands:
        yield f"```\n{ctx.command_path} {' '.join(command.collect_usage_pieces(ctx))}\n```\n"
    yield from _options(command, ctx)
    if examples:
        yield f"```sh\n{inspect.cleandoc(examples.partition(chr(10))[2])}\n```\n"
    for name, each in sorted(subcommands.items()):
        yield from _pages(each, click.Context(each, parent=ctx, info_name=name))


def _options(command: click.Command, ctx: click.Context) -> Iterator[str]:
    records = [each.get_help_record(ctx) for each in command.params if isinstance(each, click.Option)]
    if records:
        yield "| option | meaning |\n|---|---|"
        yield from (f"| `{_cell(each[0])}` | {_cell(each[1])} |" for each in records if each)
        yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
