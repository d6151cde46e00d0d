"""A service whose one change never ends: started by a test, and killed by it.

Arguments: NATS address, credentials, CA, MongoDB address, database.
"""

import asyncio
import sys
from pathlib import Path

from contracts import hosts
from runtime.audit import AuditStore, Trail
from runtime.bus import Bus, answer
from runtime.mongo import connect


async def never(_request: object, _principal: object) -> None:
    await asyncio.Event().wait()


async def main(nats_url: str, credentials: str, ca: str, mongo_url: str, name: str) -> None:
    bus = Bus.of_service("resources", servers=(nats_url,), credentials=Path(credentials), ca=Path(ca))
    store = AuditStore(await connect(mongo_url, name))
    async with bus:
        trail = Trail(store, "resources", bus.instance)
        await bus.serve([answer(hosts.revoke_host, never)], auditor=trail)  # type: ignore[arg-type]
        print("serving", flush=True)
        await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
