"""The least that running commands costs: a process that spawns `sh -c`, reads its output and waits for its end.

Spoken to by bench.fleet as bench.children says. One command after the other: two such processes keep two cores busy.
"""

import os
import time

from bench.children import say, serve, told

SHELL = "/bin/sh"


def spawn(script: str) -> bytes:
    """Run it to its end; the output."""
    reading, writing = os.pipe()
    pid = os.posix_spawn(
        SHELL,
        ("sh", "-c", script),
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1), (os.POSIX_SPAWN_CLOSE, reading)],
    )
    os.close(writing)
    output = b""
    while piece := os.read(reading, 65536):
        output += piece
    os.close(reading)
    os.waitpid(pid, 0)
    return output


async def work() -> None:
    say(ready=True)
    async for order in told():
        started = time.perf_counter()
        for _ in range(order["count"]):
            output = spawn(order["script"])
        say(wall_s=time.perf_counter() - started, output=output.decode())


if __name__ == "__main__":
    serve(work)
