"""Bounds of a role or an API token as people write them: `--scope business=shop,bank --scope account=deploy`."""

from collections.abc import Iterable

import click
import msgspec

from contracts.permissions import EVERYTHING, Scope

FIELDS = {"business": "businesses", "group": "groups", "account": "accounts", "tag": "script_tags"}
"""Word on the command line → field of a scope."""


def read(written: Iterable[str]) -> Scope:
    """Raises UsageError. Nothing written is no bound at all."""
    bounds: dict[str, tuple[str, ...]] = {}
    for each in written:
        word, equals, names = each.partition("=")
        if word not in FIELDS or not equals:
            raise click.UsageError(f"--scope {each}: write one of {', '.join(FIELDS)}, then = and names")
        given = tuple(name for name in names.split(",") if name)
        if not given:
            raise click.UsageError(f"--scope {each} names nothing; leave it out for no bound")
        bounds[FIELDS[word]] = bounds.get(FIELDS[word], ()) + given
    return msgspec.convert(bounds, Scope)


def told(scope: Scope) -> str:
    """One line per bound, as `read` takes it."""
    if scope == EVERYTHING:
        return "everywhere"
    bounds = ((word, getattr(scope, field)) for word, field in FIELDS.items())
    return "\n".join(f"{word}={','.join(names)}" for word, names in bounds if names is not None)


option = click.option(
    "--scope",
    multiple=True,
    metavar="BOUND=NAME[,NAME]",
    help="Only among what lies in these: business, group, account, tag (of scripts); repeatable.",
)
