import asyncio

import pytest

from bootstrap import mongo as mongo_server
from runtime import mongo as runtime_mongo
from runtime.settings import BadSettings
from tests.servers import READY_S, Server, free_ports


async def test_writes_are_journalled_on_a_majority(mongo):
    database = await runtime_mongo.connect(mongo.url, "check")
    assert database.write_concern.document == {"w": "majority", "j": True, "wtimeout": 10_000}
    await database["things"].insert_one({"_id": 1})
    assert await database["things"].find_one({"_id": 1}) == {"_id": 1}
    database.client.close()


async def test_a_standalone_server_is_refused(tmp_path):
    [port] = free_ports(1)
    (tmp_path / "data").mkdir()
    command = [
        str(mongo_server.program()),
        "--dbpath",
        str(tmp_path / "data"),
        "--port",
        str(port),
        "--bind_ip",
        "127.0.0.1",
    ]
    server = Server("standalone", command, tmp_path / "log")
    server.start()
    try:
        async with asyncio.timeout(READY_S):
            with pytest.raises(BadSettings, match="replica set"):
                await runtime_mongo.connect(f"mongodb://127.0.0.1:{port}/", "x")
    finally:
        await server.stop()


async def test_a_server_that_is_not_there_yet_is_waited_for(tmp_path):
    [port] = free_ports(1)
    connecting = asyncio.create_task(runtime_mongo.connect(mongo_server.url(port), "x"))
    await asyncio.wait({connecting}, timeout=4)
    assert not connecting.done()
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
