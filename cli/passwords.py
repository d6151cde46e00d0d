"""Passwords come from a terminal or from stdin, never from the command line, where others could read them."""

import sys

import click

from cli.terminal import can_ask


def asked(prompt: str = "Password", *, twice: bool = False) -> str:
    """Raises UsageError if there is none. `twice` for a new one, which nobody can read back; stdin gives it once."""
    if can_ask():
        return str(click.prompt(prompt, hide_input=True, err=True, confirmation_prompt=twice))
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise click.UsageError(f"no {prompt.lower()}: type it at a terminal, or give it on stdin, one line each")
    return password
