"""Every subject that is not a call, spelled once.

Writers pass checked tokens; readers and permission templates pass `*` or a template. See the table in
docs/reference/bus.md.
"""

from typing import NamedTuple

from contracts.tokens import token

ANY = "*"


class HostSubject(NamedTuple):
    """What the subject of a host's message says about its sender. The broker has already checked it."""

    idc: str
    host: str
    rest: tuple[str, ...]


def call(caller: str, subject: str) -> str:
    """A call of `caller`, which the broker lets it publish under its own name only."""
    return f"svc.{caller}.{subject}"


def inbox(*owner: str) -> str:
    """The prefix under which an owner (a caller, or an IDC and a host) receives answers."""
    return ".".join(("_INBOX", *owner))


def command(idc: str, host: str) -> str:
    return f"cmd.{idc}.h.{host}"


def body(idc: str) -> str:
    """Large bodies, once for all hosts of an IDC."""
    return f"cmd.{idc}.body"


def ack(idc: str, host: str, instance: str) -> str:
    return f"ack.{idc}.{host}.{instance}"


def live_output(idc: str, host: str, task: str) -> str:
    return f"out.{idc}.{host}.{task}"


def result(idc: str, host: str, task: str) -> str:
    return f"res.{idc}.{host}.{task}"


def heartbeat(idc: str, host: str) -> str:
    return f"hb.{idc}.{host}"


def hello(idc: str, host: str) -> str:
    return f"hello.{idc}.{host}"


def agent_call(idc: str, host: str, verb: str) -> str:
    """A request of an agent to the services; `verb` may have several tokens."""
    return f"rpc.agent.{idc}.{host}.{verb}"


def event(service: str, kind: str, key: str) -> str:
    return f"evt.{service}.{kind}.{key}"


def checked(*tokens: str) -> tuple[str, ...]:
    """The tokens, each checked; raises BadToken."""
    return tuple(token(each) for each in tokens)


def sender(subject: str) -> HostSubject:
    """Read the host out of `ack|out|res|hb|hello.<idc>.<host>…` or `cmd.<idc>.h.<host>`."""
    first, idc, *rest = subject.split(".")
    if first == "cmd":
        rest = rest[1:]
    return HostSubject(idc, rest[0], tuple(rest[1:]))
