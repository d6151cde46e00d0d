"""What a person sees of `make run` and `make demo`."""

from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bootstrap.plane import ADMIN, Plane
from bootstrap.welcome import Json, Result

TAIL_LINES = 15


class Screen:
    def __init__(self) -> None:
        self._out = Console(highlight=False)

    def say(self, text: str) -> None:
        self._out.print(Text(text), soft_wrap=True)

    def result(self, result: Result) -> None:
        table = Table(title=f"run {result.run}: {result.state}", title_justify="left")
        for column in ("host", "idc", "address", "outcome", "exit", "seconds", "output"):
            table.add_column(column, justify="right" if column in {"exit", "seconds"} else "left")
        for host in result.hosts:
            table.add_row(*(Text(cell) for cell in _row(host)))
        self._out.print(table)

    def ready(self, plane: Plane) -> None:
        url = plane.gateway_url
        self.say(
            f"""
Drover is ready.
  API         {url}/api/v1    described at {url}/api/docs
  first admin {ADMIN}    password {plane.state.password()}
  logs        {plane.state.logs}
  state       {plane.state.root}

In another terminal:
  . .venv/bin/activate
  drover login {url} --user {ADMIN} < {plane.state.password_file}
  drover x 'echo hello from $(hostname); uptime' -t idc=js

Ctrl-C stops everything."""
        )

    def failed(self, plane: Plane, why: str, process: str) -> None:
        """Say why, and what that process said last."""
        log = plane.state.log(process)
        self.say(f"\nThis went wrong: {why}.\nAll logs are in {plane.state.logs}; the last lines of {log.name}:")
        for line in _lines(log)[-TAIL_LINES:]:
            self.say(f"  {line}")


def _row(host: Json) -> tuple[str, ...]:
    exit_code = host["exit_code"]
    return (
        host["hostname"],
        host["idc"],
        host["ip"],
        " ".join(filter(None, (host["state"], host["message"]))),
        "" if exit_code is None else str(exit_code),
        _seconds(host),
        host["head"].strip(),
    )


def _seconds(host: Json) -> str:
    if not (host["started_at"] and host["ended_at"]):
        return ""
    start, end = (datetime.fromisoformat(host[name]) for name in ("started_at", "ended_at"))
    return f"{(end - start).total_seconds():.2f}"


def _lines(log: Path) -> list[str]:
    try:
        return log.read_text(errors="replace").splitlines()
    except OSError:
        return []
