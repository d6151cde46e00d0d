import sys

# Both are taken up only because they may be installed: nats-py imports aiohttp to speak over websockets, structlog
# imports rich to print tracebacks in colour. An agent needs neither, and they would cost it 11 MB and 4 MB.
for heavy in ("aiohttp", "rich"):
    sys.modules[heavy] = None  # type: ignore[assignment]

from agent.command_line import main  # noqa: E402

main()
