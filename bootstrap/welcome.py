"""The first visit to a new plane, over HTTP like everybody's: log in, let the agents join, run a script on all six."""

import http.client
import http.cookiejar
import json
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from bootstrap.environment import MANAGEMENT_IDC
from bootstrap.files import write
from bootstrap.plane import ADMIN, AGENTS, MANAGER, Agent, Plane

T = TypeVar("T")
Json = dict[str, Any]

READY_S = 120
"""For everything to come up; a busy machine with one slow disk needs most of it."""
RUN_S = 120
POLL_S = 0.2
GATEWAY_ANSWERS = "the gateway answers"
TOKEN_LIFETIME_S = 3600
API_TOKEN_LIFETIME_S = 366 * 86400
"""The longest there is; once it is over, the next start makes another."""
OUTPUT_BYTES = 2000

SCRIPT = """\
echo "hello, $(uname -s) here"
echo "load $(cut -d' ' -f1 /proc/loadavg), $(df -h / | awk 'NR == 2 { print $4 }') free"
"""


class NotReady(Exception):
    """The plane did not do what a new plane does; the message says what was waited for."""


class Refused(Exception):
    """The API answered with a problem."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True)
class Result:
    run: str
    state: str
    hosts: list[Json]
    """As contracts.runs.HostResult, in the order of their names."""

    @property
    def succeeded(self) -> bool:
        outcomes = [host["state"] for host in self.hosts]
        return self.state == "succeeded" and outcomes == ["succeeded"] * len(AGENTS)


class Api:
    """The gateway, with the cookie of a login or with a token."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.token = ""
        jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar)
        )

    def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        """Raises Refused, or OSError when nobody answers."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"} if data else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(  # noqa: S310  the address is our own gateway's
            f"{self._url}/api/v1{path}", data=data, headers=headers, method=method
        )
        try:
            with self._opener.open(request, timeout=30) as answer:
                content: Json = json.load(answer)
                return content
        except urllib.error.HTTPError as error:
            raise Refused(error.code, _detail(error)) from None
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"status {error.code}"


class Welcome:
    """`ended` names a process that has ended, if one has; then waiting makes no sense."""

    def __init__(self, plane: Plane, ended: Callable[[], str]) -> None:
        self._plane = plane
        self._ended = ended
        self._api = Api(plane.gateway_url)

    def log_in(self) -> None:
        """Wait for the gateway, and speak as the first admin from then on. Raises NotReady.

        With a token of the state's own, made at the first start: after too many wrong passwords, whoever typed them,
        nobody on this machine can log in for a while.
        """
        self._api.token = self._plane.state.token()
        if self._api.token and self._until(self._token_is_good, GATEWAY_ANSWERS, READY_S):
            return
        self._api.token = ""
        try:
            self._until(self._make_token, GATEWAY_ANSWERS, READY_S)
        except Refused as error:
            raise NotReady(
                f"{ADMIN} cannot log in with the password in {self._plane.state.password_file}: {error}"
            ) from None

    def _token_is_good(self) -> bool:
        try:
            self._api.ask("GET", "/me")
        except Refused as error:
            if error.status != 401:
                raise
            return False
        return True

    def _make_token(self) -> bool:
        state = self._plane.state
        self._api.ask("POST", "/login", {"name": ADMIN, "password": state.password()})
        wanted = {"label": "make run", "expires_in_s": API_TOKEN_LIFETIME_S}
        token: str = self._api.ask("POST", "/tokens", wanted)["secret"]
        self._api.ask("POST", "/logout", {})
        write(state.token_file, token.encode())
        self._api.token = token
        return True

    def let_join(self) -> list[Json]:
        """Give every agent what it needs to join, and wait until all are there. Raises NotReady.

        An agent that joined before has its identity and ignores the token; it is withdrawn in the end.
        """
        tokens = [self._offer(idc) for idc in dict.fromkeys(agent.idc for agent in (*AGENTS, MANAGER))]
        everybody = f"{len(AGENTS)} agents and the management agent are online"
        hosts = self._until(self._everybody, everybody, READY_S)
        for token in tokens:
            self._withdraw(token)
        return hosts

    def _offer(self, idc: str) -> str:
        """The id of a join token whose secret lies where this IDC's agents wait for it."""
        agents = [agent for agent in (*AGENTS, MANAGER) if agent.idc == idc]
        host_class = "management" if idc == MANAGEMENT_IDC else "physical"
        wanted = {"idc": idc, "uses": len(agents), "expires_in_s": TOKEN_LIFETIME_S, "host_class": host_class}
        token: Json = self._until(lambda: self._api.ask("POST", "/join-tokens", wanted), "resources answers", READY_S)
        for agent in agents:
            write(self._plane.state.join_file(agent.name), token["secret"].encode())
        return str(token["id"])

    def _withdraw(self, token: str) -> None:
        try:
            self._api.ask("DELETE", f"/join-tokens/{urllib.parse.quote(token)}")
        except (Refused, OSError):
            # Used up is what was wanted, and whatever else is left of it expires soon.
            return

    def _everybody(self) -> list[Json] | None:
        """The hosts of the six, once those and the management host are online."""
        online = self._api.ask("GET", "/hosts?online=true&limit=1000")["hosts"]
        found = {(host["idc"], host["hostname"]): host for host in online}
        hosts = [found[key] for key in map(_key, AGENTS) if key in found]
        managed = any(host["idc"] == MANAGEMENT_IDC for host in online)
        return hosts if managed and len(hosts) == len(AGENTS) else None

    def run_sample(self, hosts: list[Json]) -> Result:
        """Run the sample script on these hosts and wait for its end. Raises NotReady or Refused."""
        wanted = {
            "name": "welcome",
            "script": SCRIPT,
            "targets": {"ids": [host["id"] for host in hosts]},
            "idempotency_key": secrets.token_hex(8),
        }
        run = self._until(lambda: self._api.ask("POST", "/runs", wanted), "jobs answers", READY_S)["id"]

        def ended() -> Json | None:
            shown = self._api.ask("GET", f"/runs/{run}")
            return shown if shown["ended_at"] else None

        shown = self._until(ended, f"run {run} ends", RUN_S)
        results = self._api.ask("GET", f"/runs/{run}/hosts?head_bytes={OUTPUT_BYTES}")["hosts"]
        return Result(run, shown["state"], sorted(results, key=lambda host: str(host["hostname"])))

    def _until(self, ask: Callable[[], T | None], what: str, timeout_s: float) -> T:
        """Ask until there is an answer. Silence and "not just now" are none; any other refusal is final."""
        deadline = time.monotonic() + timeout_s
        last: Exception | None = None
        while time.monotonic() < deadline:
            if process := self._ended():
                raise NotReady(f"{process} ended before this was reached: {what}")
            try:
                answer = ask()
                if answer is not None:
                    return answer
            except OSError as error:
                last = error
            except Refused as error:
                if error.status != 503:
                    raise
                last = error
            time.sleep(POLL_S)
        raise NotReady(f"not within {timeout_s:.0f} s: {what}" + (f" ({last})" if last else ""))


def _key(agent: Agent) -> tuple[str, str]:
    return agent.idc, agent.name
