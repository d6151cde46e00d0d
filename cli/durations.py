"""Spans of time as people write them on a command line."""

import re

import click

SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
WRITTEN = re.compile(r"(\d{1,9})([smhd]?)")


class Duration(click.ParamType[int]):
    """`90`, `90s`, `15m`, `2h` or `30d`; the value is whole seconds. Outside `least` and `most`, written in the same
    way, it is refused with both of them, in words that whoever typed it knows."""

    name = "duration"

    def __init__(self, least: str = "0s", most: str = "") -> None:
        self._least, self._most = least, most

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if not (match := WRITTEN.fullmatch(str(value).strip())):
            self.fail(f"{value!r} is not a span of time: write 90, 90s, 15m, 2h or 30d", param, ctx)
        seconds = int(match[1]) * SECONDS[match[2]]
        if seconds < in_seconds(self._least):
            self.fail(f"{value} is too short: {self._least} is the least", param, ctx)
        if self._most and seconds > in_seconds(self._most):
            self.fail(f"{value} is too long: {self._most} is the most", param, ctx)
        return seconds


def in_seconds(written: str) -> int:
    """Of a span that is known to be one."""
    return int(written[:-1]) * SECONDS[written[-1]]
