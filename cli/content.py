"""Texts that a command takes from a file or from stdin."""

import sys
from pathlib import Path

import click


class Content(click.ParamType[str]):
    """FILE, or - for stdin; the value is its text."""

    name = "FILE"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            data = sys.stdin.buffer.read() if value == "-" else Path(value).read_bytes()
            return data.decode()
        except OSError as error:
            self.fail(f"cannot read {value}: {error.strerror}", param, ctx)
        except UnicodeDecodeError:
            self.fail(f"{value} is not text in UTF-8", param, ctx)
