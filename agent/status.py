"""What can be said of a host from its folder, whether an agent runs there or not."""

import contextlib
import sqlite3
import time
from typing import Any

from agent import identity
from agent.folder import Folder, FolderInUse
from agent.worker import connect
from runtime import nats_jwt


def status(folder: Folder) -> dict[str, Any]:
    """Raises NotEnrolled. Holds no secret."""
    own = identity.read(folder)
    jwt, _ = identity.read_credentials(folder)
    expires = nats_jwt.read(jwt).get("exp")
    try:
        with contextlib.closing(connect(folder.journal)) as journal:
            unstored = [task for (task,) in journal.execute("SELECT task FROM tasks WHERE NOT stored ORDER BY at")]
    except sqlite3.Error as error:
        unstored = [f"the journal cannot be read: {error}"]
    return {
        "host": own.host,
        "idc": own.idc,
        "relays": own.relays,
        "agent": "running" if _is_held(folder) else "not running",
        "credentials_expire_in_s": None if expires is None else round(expires - time.time()),
        "not_stored": unstored,
    }


def _is_held(folder: Folder) -> bool:
    try:
        with folder.held():
            return False
    except FolderInUse:
        return True
