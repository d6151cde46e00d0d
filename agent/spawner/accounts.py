"""Who a task runs as, and the environment it finds.

`setpriv` changes the account in the child, before the script: it sets every group list and forbids new privileges,
which Python's own `user=` does not (it leaves root's groups). Accounts are names, never numbers: `-1` and
`4294967295` have been read as root by others.
"""

import os
import pwd
import stat

from agent.spawner.protocol import Refused

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LANG = "C.UTF-8"
ANY_EXECUTE = 0o111


class Identity:
    """The account of a task. `switch` is what must run before its program; empty for the spawner's own account."""

    __slots__ = ("entry", "switch")

    def __init__(self, entry: pwd.struct_passwd, switch: list[str]) -> None:
        self.entry = entry
        self.switch = switch

    @property
    def is_other(self) -> bool:
        return bool(self.switch)

    def environment(self) -> dict[str, str]:
        """Built from nothing: what the agent or the spawner has in its environment is no business of scripts."""
        return {
            "PATH": PATH,
            "HOME": self.entry.pw_dir,
            "USER": self.entry.pw_name,
            "LOGNAME": self.entry.pw_name,
            "SHELL": self.entry.pw_shell or "/bin/sh",
            "LANG": LANG,
        }


class Accounts:
    """Looks accounts up. Our own cannot change while we run, so it is looked up once."""

    def __init__(self) -> None:
        self._own = os.geteuid()
        self._own_identity = Identity(_own_entry(self._own), [])

    def identify(self, account: str | None) -> Identity:
        """None is our own account. Raises Refused for a name that the host does not know or we may not take."""
        if account is None:
            return self._own_identity
        if account.lstrip("-+").isdigit():
            raise Refused("account.refused", f"{account} is a number; accounts are given by name.")
        try:
            entry = pwd.getpwnam(account)
        except KeyError:
            raise Refused("account.unknown", f"This host has no account {account}.") from None
        if entry.pw_uid == self._own:
            return Identity(entry, [])
        if self._own != 0:
            own = self._own_identity.entry.pw_name
            raise Refused("account.refused", f"The agent runs as {own} and cannot become {account}.")
        return Identity(entry, switch(entry))


def switch(entry: pwd.struct_passwd) -> list[str]:
    setpriv = find("setpriv", PATH)
    if setpriv is None:
        raise Refused("account.refused", "This host lacks setpriv (package util-linux), so accounts cannot change.")
    return [
        setpriv,
        "--reuid",
        entry.pw_name,
        "--regid",
        str(entry.pw_gid),
        "--init-groups",
        "--inh-caps=-all",
        "--no-new-privs",
        "--",
    ]


def find(program: str, path: str) -> str | None:
    """The file that a name stands for, as a shell would look it up; None if no file can be executed."""
    for candidate in [program] if "/" in program else [f"{folder}/{program}" for folder in path.split(":") if folder]:
        try:
            mode = os.stat(candidate).st_mode
        except OSError:
            continue
        if stat.S_ISREG(mode) and mode & ANY_EXECUTE:
            return candidate
    return None


def _own_entry(uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:  # a container may run as a number that nobody named
        return pwd.struct_passwd((str(uid), "x", uid, os.getegid(), "", "/", "/bin/sh"))
