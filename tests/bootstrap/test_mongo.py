"""The mongod of one machine."""

from pathlib import Path

import pytest
from pymongo import MongoClient

from bootstrap import mongo
from tests.servers import Server, free_ports


async def test_a_replica_set_that_moved_to_another_port_takes_writes_again(tmp_path: Path) -> None:
    for port in free_ports(2):
        server = Server("mongod", mongo.command(tmp_path, port), tmp_path / "mongod.log")
        server.start()
        try:
            mongo.initiate(port)
            with MongoClient[dict[str, int]](mongo.url(port)) as client:
                client.test.numbers.insert_one({"port": port})
                count = client.test.numbers.count_documents({})
        finally:
            await server.stop()

    assert count == 2


def test_a_mongod_that_is_not_there_is_named() -> None:
    [port] = free_ports(1)

    with pytest.raises(mongo.Unreachable, match=f"port {port}"):
        mongo.initiate(port, timeout_s=0.5)
