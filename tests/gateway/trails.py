"""The trails of the gateway's neighbours: real ones, on databases of their own."""

import contextlib
import secrets

from contracts import registry
from contracts.audit import AUDITED
from contracts.errors import Conflict
from runtime.audit import AuditStore, Trail, answers
from runtime.bus import answer
from runtime.mongo import connect
from tests.conftest import service_bus

OTHERS = tuple(name for name in AUDITED if name != "gateway")
REFUSED = "run.wrong_state"


async def refuse(_request, _principal):
    raise Conflict(REFUSED, "Here the call would do something.")


@contextlib.asynccontextmanager
async def trails(nats, mongo_url):
    """Service → its database. Every call is refused, once it is in the trail."""
    async with contextlib.AsyncExitStack() as stack:
        databases = {}
        for service in OTHERS:
            database = databases[service] = await connect(mongo_url, f"{service}-{secrets.token_hex(4)}")
            stack.callback(database.client.close)
            store = AuditStore(database)
            await store.prepare()
            bus = await stack.enter_async_context(service_bus(nats, service))
            refusing = [answer(call, refuse) for call in registry.calls() if call.service == service]
            auditor = Trail(store, service, bus.instance)
            await bus.serve([*refusing, *answers(store, service)], auditor=auditor)
        yield databases
