"""Which contract each use case fulfils."""

from runtime.bus import AgentEndpoint, Endpoint


def endpoints() -> list[Endpoint | AgentEndpoint]:
    return []
