"""Tells the servers who is revoked, until they have taken it."""

import asyncio
import time
from typing import Self

import msgspec
import structlog

from runtime import nats_jwt
from runtime.background import ended
from runtime.bus import Connection
from runtime.nats_jwt import Key
from services.resources.revocations.store import RevocationStore

log = structlog.get_logger()

UPDATE = "$SYS.REQ.CLAIMS.UPDATE"
RETRY_S = 2.0
PATIENCE_S = 4.0
"""How long somebody who revokes waits for the servers; the announcement goes on without them."""


class NotTaken(Exception):
    """The servers did not take the account; the message says why, for the log."""


class _Data(msgspec.Struct, frozen=True):
    code: int = 0


class _Answer(msgspec.Struct, frozen=True):
    """Answer of a server to an account: `data` if it was taken."""

    data: _Data = _Data()
    error: dict[str, object] = {}


class Announcer:
    """One announcement at a time; whoever asks meanwhile shares the next one.

    It announces whenever its connection comes up, too: a hub that lost its accounts, or was away, learns them.
    """

    def __init__(self, store: RevocationStore, connection: Connection, operator_signing_key: Key) -> None:
        self._store, self._connection, self._key = store, connection, operator_signing_key
        self._wanted = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        connection.on_connect(self.want)

    async def __aenter__(self) -> Self:
        self._connection.start()
        self._task = asyncio.create_task(self._run(), name="announce revocations")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            await ended(self._task)
        await self._connection.close()

    async def announce(self) -> bool:
        """Announce what is stored by now; False if the servers did not take it yet. It is tried again until they do."""
        taken = asyncio.get_running_loop().create_future()
        self._waiting.append(taken)
        self._wanted.set()
        try:
            await asyncio.wait_for(taken, PATIENCE_S)
        except TimeoutError:
            log.warning("revocations.pending")
            return False
        return True

    async def want(self) -> None:
        """Announce what is stored by now, soon; whoever asks does not wait for it."""
        self._wanted.set()

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            waiting, self._waiting = self._waiting, []
            try:
                await self._announce()
            except Exception as error:
                # Whatever it was, giving up would leave somebody in who was thrown out.
                log.warning("revocations.not_announced", error=f"{type(error).__name__}: {error}"[:300])
                self._waiting += waiting
                await asyncio.sleep(RETRY_S)
                self._wanted.set()
                continue
            for taken in waiting:
                if not taken.done():
                    taken.set_result(None)

    async def _announce(self) -> None:
        """A server takes whatever account comes last. Another instance may have announced a longer list before this
        one arrived, so the list is read again afterwards, and announced again until nothing is missing."""
        while True:
            made, issued = await self._store.next_issue(int(time.time()))
            revoked = await self._store.needed()
            await self._push(nats_jwt.with_revocations(made, revoked, self._key, issued))
            log.info("revocations.announced", revoked=len(revoked), issued=issued)
            if (await self._store.needed()).items() <= revoked.items():
                return

    async def _push(self, jwt: str) -> None:
        """Raises NotTaken, Disconnected or TimeoutError."""
        answer = await self._connection.request(UPDATE, jwt.encode())
        try:
            read = msgspec.json.decode(answer.data, type=_Answer)
        except msgspec.DecodeError as error:
            raise NotTaken("the answer cannot be read") from error
        if read.error or read.data.code != 200:
            raise NotTaken(str(read.error)[:200])
