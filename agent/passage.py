"""Whether another account gets to its script: every folder on the way must let it pass."""

import os
import pwd
import stat
import subprocess
from pathlib import Path

from agent.spawner.accounts import PATH, switch
from agent.spawner.protocol import Refused

TRY_S = 5.0


def closed_folder(script: Path, account: str) -> Path | None:
    """The folder that keeps `account` from `script`; None if it gets there. May block.

    Modes say yes at no cost. Where they say no, an access control list may still let the account in, so it tries.
    """
    entry = pwd.getpwnam(account)
    closed = _closed_by_mode(script, entry)
    return None if closed is None or _gets_there(script, entry) else closed


def _closed_by_mode(script: Path, entry: pwd.struct_passwd) -> Path | None:
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    folders = dict.fromkeys([*script.parents, *script.resolve().parents])
    for folder in sorted(folders, key=lambda each: len(each.parts)):
        seen = folder.stat()
        if seen.st_uid == entry.pw_uid:
            needed = stat.S_IXUSR
        elif seen.st_gid in groups:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not seen.st_mode & needed:
            return folder
    return None


def _gets_there(script: Path, entry: pwd.struct_passwd) -> bool:
    try:
        tried = subprocess.run(
            [*switch(entry), "test", "-r", str(script)],
            cwd="/",
            env={"PATH": PATH},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TRY_S,
            check=False,
        )
    except Refused:
        return True  # accounts cannot change on this host, as the spawner will say
    except subprocess.TimeoutExpired:
        return False
    return tried.returncode == 0
