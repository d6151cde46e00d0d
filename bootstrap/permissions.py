"""Who may say what on the bus: one scoped signing key per row, filled in by the server from the user's name and tags.

Subjects come from `contracts/subjects.py`, so that a template cannot drift from what is really published. A service
answers on `_INBOX.>`: that is how replies travel; `runtime/bus.py` keeps a reply to the inbox of whoever asked.
"""

from contracts import subjects
from contracts.subjects import ANY
from runtime.nats_jwt import Permissions

REST = ">"
_IDC = "{{tag(idc)}}"
_NAME = "{{name()}}"
_DISCOVERY = "$SRV.>"
_ANSWERS = subjects.inbox(REST)

MAX_MESSAGE_BYTES = 1024 * 1024
AGENT_SUBSCRIPTIONS = 64

AGENT = Permissions(
    publish=(
        subjects.ack(_IDC, _NAME, ANY),
        subjects.live_output(_IDC, _NAME, ANY),
        subjects.result(_IDC, _NAME, ANY),
        subjects.heartbeat(_IDC, _NAME),
        subjects.hello(_IDC, _NAME),
        subjects.agent_call(_IDC, _NAME, REST),
    ),
    subscribe=(
        subjects.command(_IDC, _NAME),
        subjects.body(_IDC),
        subjects.inbox(_IDC, _NAME, REST),
    ),
    subscriptions=AGENT_SUBSCRIPTIONS,
    payload=MAX_MESSAGE_BYTES,
)
"""No JetStream and no right to answer: an agent publishes under its own name or not at all."""

LEAF = Permissions(
    publish=(
        f"ack.{_IDC}.>",
        f"out.{_IDC}.>",
        f"res.{_IDC}.>",
        f"hb.{_IDC}.>",
        f"hello.{_IDC}.>",
        f"rpc.agent.{_IDC}.>",
    ),
    subscribe=(f"cmd.{_IDC}.>", subjects.inbox(_IDC, REST)),
)
"""What crosses between the hub and an IDC, whoever holds the relay.

Every row ends in `>`: with `ack.js.*.*` the server does not tell the relay of a listener on `ack.*.*.jobs-1`, and
nothing arrives (nats-server issue 4832). The shapes of subjects are kept by the agents' own permissions.
"""

INTEGRATION = Permissions(
    publish=(subjects.call(_NAME, "{{tag(call)}}"),),
    subscribe=(subjects.inbox(_NAME, REST), "evt.{{tag(event)}}.>"),
    payload=MAX_MESSAGE_BYTES,
)
"""A tag with several values becomes several subjects, dots and all."""


def _service(name: str, *, publish: tuple[str, ...] = (), subscribe: tuple[str, ...] = ()) -> Permissions:
    return Permissions(
        publish=(subjects.call(name, REST), _ANSWERS, *publish),
        subscribe=(subjects.call(ANY, f"{name}.>"), subjects.inbox(name, REST), _DISCOVERY, *subscribe),
    )


def _stream(stream: str, *verbs: str) -> tuple[str, ...]:
    return tuple(f"$JS.API.STREAM.{verb}.{stream}" for verb in verbs)


def _worker(stream: str) -> tuple[str, ...]:
    """Make one's consumer on a stream, pull from it and acknowledge."""
    return (
        f"$JS.API.CONSUMER.CREATE.{stream}.>",
        f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.*",
        f"$JS.API.CONSUMER.INFO.{stream}.*",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*",
        f"$JS.ACK.{stream}.>",
    )


_KEEP = ("CREATE", "UPDATE", "INFO")

SERVICES = {
    "jobs": _service(
        "jobs",
        publish=(
            "cmd.>",
            "evt.jobs.>",
            *_stream("RESULTS", *_KEEP),
            *_stream("EVENTS", *_KEEP),
            *_worker("RESULTS"),
        ),
        subscribe=(
            subjects.ack(ANY, ANY, ANY),
            subjects.heartbeat(ANY, ANY),
            subjects.hello(ANY, ANY),
            subjects.agent_call(ANY, ANY, "jobs.>"),
            "evt.jobs.>",
        ),
    ),
    "resources": _service(
        "resources",
        publish=("evt.resources.>", *_stream("EVENTS", *_KEEP)),
        subscribe=(
            subjects.heartbeat(ANY, ANY),
            subjects.hello(ANY, ANY),
            subjects.agent_call(ANY, ANY, "resources.>"),
            "evt.resources.>",
            subjects.event("jobs", "run", ANY),
        ),
    ),
    "config": _service("config", publish=("evt.config.>", *_stream("EVENTS", *_KEEP))),
    "gateway": _service(
        "gateway",
        publish=(
            *_stream("EVENTS", "INFO", "MSG.GET"),
            "$JS.API.DIRECT.GET.EVENTS",
            "$JS.API.DIRECT.GET.EVENTS.>",
        ),
        subscribe=("evt.>", subjects.live_output(ANY, ANY, ANY)),
    ),
}

APP: dict[str, Permissions] = {
    "agent": AGENT,
    "leaf": LEAF,
    "integration": INTEGRATION,
    **{f"service-{name}": permissions for name, permissions in SERVICES.items()},
}
"""Role of the signing key → what its users may do, in the account that carries the work."""

SYS: dict[str, Permissions] = {
    "leaf": Permissions(
        publish=(
            "_INBOX.>",
            "$SYS._INBOX.>",
            "$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP",
            "$SYS.REQ.CLAIMS.PACK",
        ),
        subscribe=(
            "$SYS.REQ.CLAIMS.UPDATE",
            "$SYS.ACCOUNT.*.CLAIMS.UPDATE",
            "$SYS._INBOX.>",
            "_INBOX.>",
        ),
    ),
    "claims": Permissions(
        publish=("$SYS.REQ.CLAIMS.UPDATE",),
        subscribe=(subjects.inbox("resources", REST),),
    ),
}
"""The account that the servers themselves speak in: relays learn of changed accounts, resources may announce them."""
