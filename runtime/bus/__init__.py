"""The bus: typed calls, events and streams over NATS. The only place that imports nats.

`connection` keeps one connection alive, whatever happens to it; `bus` speaks contracts over it; `streams` publishes
to JetStream and pulls from it; `discovery` answers `$SRV.*`.
"""

from runtime.bus.auditor import Auditor
from runtime.bus.bus import AgentEndpoint, Bus, Endpoint, answer, answer_agent
from runtime.bus.connection import Connection, Disconnected, Message, Options, Subscription
from runtime.bus.streams import Pull, StreamMessage, StreamSettings

__all__ = [
    "AgentEndpoint",
    "Auditor",
    "Bus",
    "Connection",
    "Disconnected",
    "Endpoint",
    "Message",
    "Options",
    "Pull",
    "StreamMessage",
    "StreamSettings",
    "Subscription",
    "answer",
    "answer_agent",
]
