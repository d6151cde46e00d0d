"""Why does it not work? Each thing that must hold, in the order in which they depend on each other."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from cli.display import Form, emit, rows
from cli.exits import Ended, Exit, LoginNeeded, Refused, Unreachable
from cli.session import Session, data_options, pass_session
from contracts.hosts import ListHosts, list_hosts
from contracts.people import Nothing, whoami
from contracts.runs import ListRuns, list_runs

if TYPE_CHECKING:
    from cli.connection import Answer, Connection

REACH_S = 5.0
SKEW_S = 30.0
"""Commands tolerate 120 s between hosts; a reader of times is confused before that."""
START_DATABASE = "Start MongoDB, or look into its log."
SOON_S = 14 * 86_400.0
WAY = frozenset({"name", "port", "certificate", "server"})
"""What leads to the server; without one of these nothing later can be known."""


@dataclass(frozen=True)
class Wrong(Exception):
    """What was found, what to do about it, and the exit status if nothing later can be looked at."""

    told: str
    remedy: str
    status: Exit = Exit.FAILED_HOSTS


@dataclass(frozen=True)
class Finding:
    what: str
    state: str
    told: str
    remedy: str = ""
    status: Exit = Exit.SUCCEEDED


@click.command("doctor")
@data_options
@pass_session
def doctor(session: Session, form: Form) -> None:
    """Look for what keeps drover from working, and say what to do about it.

    \b
    Examples:
      drover doctor
      drover doctor --context prod -o json
    """
    found = list(findings(session))
    content = [{"what": f.what, "state": f.state, "told": f.told, "remedy": f.remedy} for f in found]
    emit(
        form,
        content,
        lambda: [each.what for each in found if each.state == "wrong"],
        lambda: rows(("CHECK", "STATE", "FOUND", "WHAT TO DO"), [(f.what, f.state, f.told, f.remedy) for f in found]),
    )
    raise click.exceptions.Exit(next((each.status for each in found if each.state == "wrong"), Exit.SUCCEEDED))


def findings(session: Session) -> Iterator[Finding]:
    """One per check. After the server cannot be reached, or nobody is logged in, the rest cannot be known."""
    client, pulse = session.client, Pulse(session.client.connection)
    checks: list[tuple[str, Callable[[], str]]] = [
        ("name", lambda: _name(client.connection)),
        ("port", lambda: _port(client.connection)),
        ("certificate", lambda: _certificate(client.connection)),
        ("server", pulse.server),
        ("clock", pulse.clock),
        ("hub", pulse.hub),
        ("database", pulse.database),
        ("login", lambda: client.call(whoami, Nothing()).name),
        ("resources", lambda: _answers(lambda: client.call(list_hosts, ListHosts(limit=1)))),
        ("jobs", lambda: _answers(lambda: client.call(list_runs, ListRuns(limit=1)))),
    ]
    blocked = False
    for what, check in checks:
        if blocked:
            yield Finding(what, "skipped", "cannot be known before the above holds")
            continue
        finding = _finding(what, check)
        blocked = finding.status == Exit.LOGIN or (finding.status == Exit.UNREACHABLE and what in WAY)
        yield finding


def _finding(what: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(what, "ok", check())
    except Wrong as wrong:
        return Finding(what, "wrong", wrong.told, wrong.remedy, wrong.status)
    except (LoginNeeded, Refused, Unreachable) as error:
        return Finding(what, "wrong", error.message, _remedy(what, error), Exit(error.exit_code))


def _remedy(what: str, error: Ended) -> str:
    if error.reason == "storage.away":
        return START_DATABASE
    if isinstance(error, Unreachable) and what in {"resources", "jobs"}:
        return f"Start the {what} service, or look into its log."
    return error.remedy


def _name(connection: "Connection") -> str:
    import socket

    try:
        found = {str(each[4][0]) for each in socket.getaddrinfo(connection.host, connection.port)}
    except socket.gaierror:
        raise Wrong(
            f"{connection.host} is not known", "Correct the address (drover login URL) or the DNS.", Exit.UNREACHABLE
        ) from None
    return f"{connection.host} is {', '.join(sorted(found))}"


def _port(connection: "Connection") -> str:
    import socket

    from cli.connection import cause

    try:
        socket.create_connection((connection.host, connection.port), REACH_S).close()
    except OSError as error:
        raise Wrong(
            f"port {connection.port}: {cause(error)}",
            "Is Drover running there, and does the firewall let you through?",
            Exit.UNREACHABLE,
        ) from None
    return f"port {connection.port} is open"


def _certificate(connection: "Connection") -> str:
    import socket
    import ssl

    from cli.connection import cause

    if not connection.tls:
        return "not needed on this machine itself"
    try:
        with (
            socket.create_connection((connection.host, connection.port), REACH_S) as plain,
            connection.trust().wrap_socket(plain, server_hostname=connection.host) as secured,
        ):
            peer, version = secured.getpeercert() or {}, secured.version()
    except OSError as error:
        raise Wrong(cause(error), "Name the authority to trust: drover login URL --ca FILE", Exit.UNREACHABLE) from None
    ends = str(peer["notAfter"])
    if ssl.cert_time_to_seconds(ends) - time.time() < SOON_S:
        raise Wrong(f"the certificate ends {ends}", "Renew it.")
    return f"{version}, certificate good until {ends}"


class Pulse:
    """The server's own pages about itself, asked for once."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._alive: Answer | None = None
        self._readiness: Answer | None = None

    def server(self) -> str:
        answer = self._connection.exchange("GET", "/healthz", repeatable=True)
        if answer.status != 200 or answer.body.strip() != b"ok":
            raise Wrong(f"status {answer.status}", "Something else answers at this address.", Exit.UNREACHABLE)
        self._alive = answer
        return "Drover answers"

    def clock(self) -> str:
        """The server's clock may be read late by as long as a request takes; that is far below SKEW_S."""
        from email.utils import parsedate_to_datetime

        stamp = self._alive.headers.get("Date") if self._alive else None
        if not stamp:
            return "the server does not tell its time"
        ahead = time.time() - parsedate_to_datetime(stamp).timestamp()
        if abs(ahead) > SKEW_S:
            raise Wrong(
                f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the server", "Set the clocks by NTP."
            )
        return "agrees with the server's"

    def hub(self) -> str:
        if self._away() not in {"", "not ready: database"}:
            raise Wrong(
                "the gateway has no connection to NATS", "Look into the logs of gateway and hub.", Exit.UNREACHABLE
            )
        return "the gateway is connected"

    def database(self) -> str:
        if "database" in self._away():
            raise Wrong("the database does not answer", START_DATABASE, Exit.UNREACHABLE)
        return "the database answers"

    def _away(self) -> str:
        """What the gateway lacks, in its words; empty if nothing."""
        if self._readiness is None:
            self._readiness = self._connection.exchange("GET", "/readyz", repeatable=True)
        answer = self._readiness
        return "" if answer.status == 200 else answer.body.decode(errors="replace").strip() or "not ready"


def _answers(ask: Callable[[], object]) -> str:
    ask()
    return "answers"
