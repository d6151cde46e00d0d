"""First start and the whole plane on one machine.

Settings: DROVER_STATE, the folder that keeps everything (./state); DROVER_PORT_<NAME>, another port; NATS_URL and
MONGO_URL, servers that run already, so that none is started.
"""

import argparse
import contextlib
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bootstrap import mongo
from bootstrap.plane import Plane, prepare
from bootstrap.ports import PREFIX, Ports, check_free
from bootstrap.processes import Part, Stopped, honcho, keep_old_logs, orphans_end, signals_stop
from bootstrap.screen import Screen
from bootstrap.state import SETTING, State
from bootstrap.welcome import NotReady, Refused, Welcome
from runtime.settings import load

WATCH_S = 0.5
"""How soon it is noticed that a process of the plane has ended."""


def main(words: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(words)
    plane = Plane(
        State(arguments.state.resolve()),
        load(Ports, PREFIX),
        nats_url=os.environ.get("NATS_URL", ""),
        mongo_url=os.environ.get("MONGO_URL", ""),
    )
    command: Callable[[Plane, argparse.Namespace], int] = arguments.command
    try:
        with signals_stop():
            return command(plane, arguments)
    except Stopped as stopped:
        Screen().say("Stopped.")
        return stopped.exit_status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bootstrap", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--state", type=Path, default=Path(os.environ.get(SETTING) or "state"), help="folder that keeps everything"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, what in (
        ("prepare", _prepare, "make keys, certificates, credentials and configurations; what is there stays"),
        ("run", _run, "start everything, run a script on six hosts, stay until Ctrl-C"),
        ("demo", _run, "the same, then stop; exit status 0 if all six hosts succeeded"),
    ):
        parser_of_command = commands.add_parser(name, help=what, description=what)
        parser_of_command.set_defaults(command=command, stay=name == "run")
        if name == "prepare":
            parser_of_command.add_argument(
                "--reached-as",
                metavar="SERVER=HOST",
                action="append",
                default=[],
                type=_server_and_host,
                help="another name or address of hub or leaf-<idc>, for its certificate; may be given often",
            )
    return parser


def _server_and_host(word: str) -> tuple[str, str]:
    server, found, host = word.partition("=")
    if not (server and found and host):
        raise argparse.ArgumentTypeError(f"{word!r} is not of the form hub=relay.example")
    return server, host


def _prepare(plane: Plane, arguments: argparse.Namespace) -> int:
    hosts: Mapping[str, list[str]] = defaultdict(list)
    for server, host in arguments.reached_as:
        hosts[server].append(host)
    with plane.state.held():
        prepare(plane, {server: tuple(names) for server, names in hosts.items()})
    Screen().say(f"Keys, certificates, credentials and configurations are in {plane.state.root}")
    return 0


def _run(plane: Plane, arguments: argparse.Namespace) -> int:
    screen = Screen()
    with plane.state.held() as lock:
        check_free(plane.ports, plane.used_ports)
        prepare(plane)
        keep_old_logs(plane.state)
        try:
            with orphans_end(), contextlib.ExitStack() as running:
                screen.say("Starting everything; this takes some seconds ...")
                parts = []
                for part in plane.parts:
                    parts.append(running.enter_context(honcho(plane.state, part, lock)))
                    if part == "servers" and not plane.mongo_url:
                        mongo.initiate(plane.ports.mongo)
                return _visit(plane, parts, screen, stay=arguments.stay)
        except mongo.Unreachable as error:
            screen.failed(plane, str(error), "mongod")
            return 1


def _visit(plane: Plane, parts: Sequence[Part], screen: Screen, *, stay: bool) -> int:
    def ended() -> str:
        return next(filter(None, (part.ended_first for part in parts)), "")

    try:
        welcome = Welcome(plane, ended)
        welcome.log_in()
        result = welcome.run_sample(welcome.let_join())
    except (NotReady, Refused) as error:
        screen.failed(plane, str(error), ended() or "gateway")
        return 1
    screen.result(result)
    if not stay:
        return 0 if result.succeeded else 1
    screen.ready(plane)
    while not ended():
        time.sleep(WATCH_S)
    screen.failed(plane, f"{ended()} ended, and so everything was stopped", ended())
    return 1


if __name__ == "__main__":
    sys.exit(main())
