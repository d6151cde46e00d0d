"""What a person types: `python -m agent run`, `enrol`, `status`."""

import argparse
import asyncio
import json
import sys
from pathlib import Path

import structlog

from agent import identity, server
from agent.app import Agent
from agent.folder import Folder, FolderInUse
from agent.identity import NotEnrolled
from agent.journal import WrongJournal
from agent.kit import Household
from agent.memory import settle
from agent.settings import Limits, Settings
from runtime import log as logs
from runtime.process import run as run_until_told
from runtime.settings import load

log = structlog.get_logger()

SPAWNER_FOLDER = "spawner"
LATER_S = (1, 2, 5, 10, 30, 60)

_ABOUT = """Runs on every host: checks orders, runs them once, reports until the report is stored.

One host:      python -m agent run --root /var/lib/drover-agent --gateway https://drover.example --join-file token
Several on one machine, for trying out: give --root several times; each is a host of its own.

Each root folder holds one host's credentials, journal and spool. Whoever loses one of them enrols as a new host.
Facts come from below each root, or from --facts-root, where it has them: etc/hostname, etc/os-release, and
etc/drover-facts.json, a JSON object such as {"hostname": "web1", "ips": ["10.0.0.1"]}, which counts first.

TERM and INT end the agent; scripts go on, and the next agent in the same folder takes them up again.
Limits come from the environment: DROVER_AGENT_ACCOUNTS (names, separated by commas), DROVER_AGENT_OUTPUT_LIMIT and
DROVER_AGENT_SPOOL_LIMIT (bytes), DROVER_AGENT_HEARTBEAT_S, DROVER_AGENT_CGROUP (auto, off),
DROVER_AGENT_SPAWNER_IDLE_S, DROVER_AGENT_TASKS (scripts at once)."""


def main(words: list[str] | None = None) -> None:
    parser = _parser()
    given = parser.parse_args(words)
    if len(getattr(given, "join_file", None) or ()) not in {0, 1, len(given.root)}:
        parser.error("give one --join-file for all, or one for each --root")
    try:
        given.do(given)
    except (NotEnrolled, FolderInUse, WrongJournal) as error:
        raise SystemExit(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agent", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True, metavar="run | enrol | status")
    run = verbs.add_parser("run", help="enrol where that is not done, then serve until TERM")
    enrol = verbs.add_parser("enrol", help="enrol and end")
    status = verbs.add_parser("status", help="say who the host is and what is not stored yet, as JSON")
    for verb, do in ((run, _run), (enrol, _enrol), (status, _status)):
        verb.set_defaults(do=do)
        verb.add_argument("--root", type=Path, action="append", required=True, help="the host's folder")
    for verb in (run, enrol):
        verb.add_argument("--gateway", default="", help="https://… of the gateway, or http:// on this machine")
        verb.add_argument("--gateway-ca", type=Path, help="certificate to trust for the gateway (PEM)")
        token = verb.add_mutually_exclusive_group()
        token.add_argument(
            "--join-file",
            type=Path,
            action="append",
            help="file with the join token; one for all roots, or one for each",
        )
        token.add_argument("--join", default="", help="the join token; others see it in the list of processes")
        verb.add_argument("--facts-root", type=Path, help="folder that facts are read below; left out: each root")
    run.add_argument("--spawner", type=Path, help="folder of the spawner; left out: below the first root")
    run.add_argument("--http-port", type=int, help="serve /healthz and /metrics on this port of the loopback")
    return parser


def _settings(given: argparse.Namespace, limits: Limits) -> list[Settings]:
    return [Settings(root=root, facts_root=given.facts_root or root, limits=limits) for root in given.root]


def _join_token(given: argparse.Namespace, root: Path) -> str:
    """Raises OSError."""
    if not given.join_file:
        return str(given.join)
    file: Path = given.join_file[given.root.index(root) if len(given.join_file) > 1 else 0]
    return file.read_text().strip()


def _run(given: argparse.Namespace) -> None:
    logs.configure()
    limits = load(Limits, "DROVER_AGENT_")
    spawner = given.spawner or given.root[0] / SPAWNER_FOLDER

    async def serve(stop: asyncio.Event) -> None:
        house = Household(spawner, limits)
        house.start()
        agents: list[Agent] = []
        try:
            for settings in _settings(given, limits):
                if not await _enrolled(given, settings, stop):
                    return
                agents.append(Agent(settings, house))
                await agents[-1].start()
            settle(len(agents))
            async with server.serving(given.http_port, agents):
                await stop.wait()
        finally:
            await asyncio.gather(*(agent.stop() for agent in agents), return_exceptions=True)
            await house.close()

    run_until_told(serve)


async def _enrolled(given: argparse.Namespace, settings: Settings, stop: asyncio.Event) -> bool:
    """Enrol, trying as long as trying may help; False if told to stop meanwhile."""
    from agent.enrolment import EnrolmentFailed

    tries = iter(LATER_S)
    while not identity.is_enrolled(Folder(settings.root)):
        try:
            await asyncio.to_thread(_enrol_one, given, settings)
        except EnrolmentFailed as error:
            if not error.again:
                raise SystemExit(str(error)) from None
            wait = next(tries, LATER_S[-1])
            log.warning("enrolment.failed", root=str(settings.root), error=str(error), wait_s=wait)
            try:
                await asyncio.wait_for(stop.wait(), wait)
            except TimeoutError:
                continue
            return False
    return True


def _enrol_one(given: argparse.Namespace, settings: Settings) -> str:
    from agent.enrolment import EnrolmentFailed, Invitation, enrol_here

    try:
        token = _join_token(given, settings.root)
    except OSError as error:
        raise EnrolmentFailed(f"{error.filename} cannot be read: {error.strerror}.", again=False) from None
    if not token or not given.gateway:
        raise EnrolmentFailed(
            f"No host is enrolled in {settings.root}: give --gateway and --join-file with a join token.", again=False
        )
    folder = Folder(settings.root)
    folder.make()
    with folder.held():
        invitation = Invitation(gateway=given.gateway, token=token, gateway_ca=given.gateway_ca)
        return enrol_here(folder, invitation, settings.facts_root).host


def _enrol(given: argparse.Namespace) -> None:
    from agent.enrolment import EnrolmentFailed

    for settings in _settings(given, Limits()):
        if identity.is_enrolled(Folder(settings.root)):
            raise SystemExit(f"A host is enrolled in {settings.root} already: see `python -m agent status`.")
        try:
            sys.stdout.write(_enrol_one(given, settings) + "\n")
        except EnrolmentFailed as error:
            raise SystemExit(str(error)) from None


def _status(given: argparse.Namespace) -> None:
    from agent.status import status

    for root in given.root:
        sys.stdout.write(json.dumps(status(Folder(root)), indent=2) + "\n")
