"""Who this agent is. Read at start, written once at enrolment; only the credentials change, when they are renewed."""

import base64
import contextlib
from pathlib import Path

import msgspec

from agent.folder import Folder, write_whole
from contracts.tokens import token
from runtime import nats_jwt
from runtime.nats_jwt import Key
from runtime.signing import BoxKey


class NotEnrolled(Exception):
    """The folder holds no usable identity; the message is the line that says what to do."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    idc: str
    box_seed: str
    """Base64 of the X25519 key that masked values are sealed to."""
    command_keys: dict[str, str]
    relays: tuple[str, ...]

    def box_key(self) -> BoxKey:
        return BoxKey(base64.b64decode(self.box_seed))


def read(folder: Folder) -> Identity:
    """Raises NotEnrolled."""
    try:
        identity = msgspec.json.decode(folder.identity.read_bytes(), type=Identity)
        token(identity.host), token(identity.idc)
    except FileNotFoundError:
        raise NotEnrolled(f"No host is enrolled in {folder.root}. Enrol it with a join token.") from None
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise NotEnrolled(f"{folder.identity} cannot be read: {error}. Empty the folder and enrol anew.") from None
    for file in (folder.journal, folder.credentials, folder.ca):
        # Without its journal an agent cannot know what it has run, so it must not be the same host any more.
        if not file.exists():
            raise NotEnrolled(f"{file} is gone. Empty {folder.root} and enrol anew, as a new host.")
    return identity


def is_enrolled(folder: Folder) -> bool:
    return folder.identity.exists()


def write(folder: Folder, identity: Identity, *, jwt: str, seed: str, ca: str) -> None:
    """The identity comes last: a folder without it is one where nobody has enrolled yet."""
    write_whole(folder.ca, ca.encode())
    write_credentials(folder, jwt, seed)
    write_whole(folder.identity, msgspec.json.encode(identity))


def write_credentials(folder: Folder, jwt: str, seed: str) -> None:
    write_whole(folder.credentials, nats_jwt.credentials(jwt, seed).encode())


def read_credentials(folder: Folder) -> tuple[str, Key]:
    """JWT and key. Raises OSError, nats_jwt.BadToken or nats_jwt.BadKey."""
    return nats_jwt.read_credentials(folder.credentials.read_text())


def forget_journal(folder: Folder) -> None:
    """What an earlier host of this folder ran is no business of the new one."""
    for ending in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{folder.journal}{ending}").unlink()
