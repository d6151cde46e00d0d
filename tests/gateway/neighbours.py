"""The other services as the gateway sees them: real endpoints on the bus under their own credentials."""

import contextlib

from contracts import registry
from contracts.errors import Conflict
from runtime.bus import answer
from tests.conftest import service_bus

REACHED = "run.wrong_state"


class Neighbours:
    """Refuses every call with REACHED, so that a test sees that it came through, and notes it."""

    def __init__(self) -> None:
        self.reached = []
        """Subject, request and principal of each call."""

    def of(self, service):
        return [answer(call, self._handler(call)) for call in registry.calls() if call.service == service]

    def _handler(self, call):
        async def handle(request, principal):
            self.reached.append((call.subject, request, principal))
            raise Conflict(REACHED, "Here the call would do something.")

        return handle


@contextlib.asynccontextmanager
async def neighbours(nats):
    made = Neighbours()
    async with contextlib.AsyncExitStack() as stack:
        for service in ("config", "jobs", "resources"):
            bus = await stack.enter_async_context(service_bus(nats, service))
            await bus.serve(made.of(service))
        yield made
