"""The API as it is, for whatever has no command of its own."""

import sys
from pathlib import Path
from urllib.parse import quote

import click
import msgspec

from cli.client import API, checked
from cli.display import out
from cli.session import Session, context_option, pass_session

ALLOWED = "/?&=%:,+~@!$'()*;"
"""Of a path and query that somebody wrote; all else is escaped."""


@click.command("api")
@click.argument("method", type=click.Choice(["GET", "POST", "PUT", "DELETE"], case_sensitive=False), metavar="METHOD")
@click.argument("path")
@click.option("-d", "--data", metavar="JSON", help="The body; @FILE reads it from a file, @- from stdin.")
@context_option
@pass_session
def api(session: Session, method: str, path: str, data: str | None) -> None:
    """Send one request to the API and print its answer. PATH begins below /api/v1.

    \b
    Examples:
      drover api GET '/hosts?idcs=js&limit=5'
      drover api POST /targets/resolve -d '{"targets": {"idcs": ["js"]}}'
      drover api POST /people -d @alice.json
    """
    if not path.startswith("/"):
        raise click.UsageError("PATH begins with /")
    body = _body(data) if data is not None else None
    if body is None and method in {"POST", "PUT"}:
        body = b"{}"
    path = path if path.startswith(API + "/") else API + path
    answer = session.client.connection.exchange(method, quote(path, safe=ALLOWED), body, repeatable=method == "GET")
    content = checked(answer)
    try:
        click.echo(msgspec.json.format(content).decode())
    except msgspec.DecodeError:
        out(content.decode("utf-8", "backslashreplace"), newline=False)


def _body(data: str) -> bytes:
    try:
        if data == "@-":
            return sys.stdin.buffer.read()
        return Path(data[1:]).read_bytes() if data.startswith("@") else data.encode()
    except OSError as error:
        raise click.UsageError(f"cannot read {data[1:]}: {error.strerror}") from None
