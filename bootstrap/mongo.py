"""A mongod for one machine: found on the PATH or in the installed wheel, a journalled replica set of one node."""

import importlib.util
import shutil
import stat
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

REPLICA_SET = "drover"
CACHE_GB = 0.25
"""The least that WiredTiger takes; one machine shares its memory with everything else."""

_ALREADY_INITIALIZED = 23
_WHEEL = "fiftyone"
_IN_WHEEL = Path("db/bin/mongod")


class NoMongod(SystemExit):
    """There is no mongod to start; the message is the line that says so."""


class Unreachable(Exception):
    """The mongod does not answer, or does not do what it is told."""


def program() -> Path:
    """A mongod that can be started. Raises NoMongod."""
    found = shutil.which("mongod")
    if found:
        return Path(found)
    spec = importlib.util.find_spec(_WHEEL)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(place) / _IN_WHEEL
        if path.exists():
            # Wheels do not always keep the mode of what they carry.
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
            return path
    raise NoMongod(
        "mongod is missing: run `make setup`, put one on the PATH, or set MONGO_URL to a running replica set"
    )


def command(folder: Path, port: int) -> list[str]:
    """Arguments that start it on loopback with its data in `folder`, which must exist."""
    return [
        str(program()),
        *("--dbpath", str(folder), "--port", str(port), "--bind_ip", "127.0.0.1", "--replSet", REPLICA_SET),
        *("--wiredTigerCacheSizeGB", str(CACHE_GB), "--oplogSize", "512", "--nounixsocket", "--quiet"),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    ]


def url(port: int) -> str:
    return f"mongodb://127.0.0.1:{port}/?replicaSet={REPLICA_SET}"


def initiate(port: int, timeout_s: float = 30) -> None:
    """Make the started mongod a replica set of one node, and wait until it takes writes.

    Does nothing more than wait if it is one already, unless it was one on another port. Raises Unreachable.
    """
    wait_ms = int(timeout_s * 1000)
    member = {"_id": 0, "host": f"127.0.0.1:{port}"}
    try:
        with _client(f"mongodb://127.0.0.1:{port}/?directConnection=true", wait_ms) as client:
            try:
                client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [member]})
            except OperationFailure as error:
                if error.code != _ALREADY_INITIALIZED:
                    raise
                _move(client, member)
        with _client(url(port), wait_ms) as client:
            client.admin.command("ping")
    except PyMongoError as error:
        raise Unreachable(f"MongoDB on port {port} does not become a replica set: {error}") from error


def _move(client: "MongoClient[dict[str, Any]]", member: dict[str, object]) -> None:
    """Tell the set its member's address; a set that knows itself under another one takes no writes."""
    config = client.admin.command("replSetGetConfig")["config"]
    if config["members"][0]["host"] != member["host"]:
        config["members"][0]["host"] = member["host"]
        config["version"] += 1
        client.admin.command("replSetReconfig", config, force=True)


def _client(address: str, wait_ms: int) -> "MongoClient[dict[str, Any]]":
    return MongoClient(address, serverSelectionTimeoutMS=wait_ms)
