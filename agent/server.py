"""A tiny responder for /healthz and /metrics on the loopback; off unless a port is given."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from agent.app import Agent

REQUEST_S = 5.0
MOST_LINES = 100


@contextlib.asynccontextmanager
async def serving(port: int | None, agents: Sequence[Agent]) -> AsyncIterator[None]:
    """Answers while the block runs. Raises OSError if the port is taken."""
    if port is None:
        yield
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(REQUEST_S):
                words = (await reader.readline()).decode("latin-1").split()
                for _ in range(MOST_LINES):
                    if await reader.readline() in {b"\r\n", b"\n", b""}:
                        break
                writer.write(_response(words, agents))
                await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", port, limit=8192)
    async with listening:
        yield


def _response(words: Sequence[str], agents: Sequence[Agent]) -> bytes:
    status, text = "404 Not Found", "there is /healthz and /metrics\n"
    if words[:1] != ["GET"]:
        status = "405 Method Not Allowed"
    elif words[1:2] == ["/healthz"]:
        connected = all(agent.parts.connection.connected for agent in agents)
        status, text = ("200 OK", "ok\n") if connected else ("503 Service Unavailable", "not connected\n")
    elif words[1:2] == ["/metrics"]:
        status, text = "200 OK", metrics(agents)
    body = text.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n"
    return (head + "Connection: close\r\n\r\n").encode() + body


def metrics(agents: Sequence[Agent]) -> str:
    """Prometheus' text format."""
    lines = ["# TYPE drover_agent_connected gauge", "# TYPE drover_agent_unstored_tasks gauge"]
    for agent in agents:
        parts = agent.parts
        label = f'{{host="{agent.host}"}}'
        lines.append(f"drover_agent_connected{label} {int(parts.connection.connected)}")
        lines.append(f"drover_agent_unstored_tasks{label} {len(parts.tasks)}")
        for name, value in sorted((parts.kit.counters + parts.connection.counters).items()):
            lines.append(f'drover_agent_events_total{{host="{agent.host}",event="{name}"}} {value}')
    return "\n".join(lines) + "\n"
