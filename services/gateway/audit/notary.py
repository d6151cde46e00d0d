"""Signs, again and again, where all chains of the audit trail end.

Several gateways may do so: a checkpoint's number exists once, and whoever comes second has nothing to add.
"""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import structlog

from contracts.audit import AUDITED, AskHeads, Checkpoint, Head, checkpoint_bytes, heads_of
from contracts.errors import ServiceError
from runtime.bus import Bus
from runtime.mongo import PyMongoError
from runtime.signing import Signer
from services.gateway.audit.model import following
from services.gateway.audit.store import CheckpointStore

OVERLAP = timedelta(minutes=10)
"""Clocks differ, and a row is dated before it is written."""
EVER = datetime(1970, 1, 1, tzinfo=UTC)

log = structlog.get_logger()


class Notary:
    def __init__(
        self, bus: Bus, store: CheckpointStore, signer: Signer, *, every_s: float, file: Path | None = None
    ) -> None:
        self._bus, self._store, self._signer = bus, store, signer
        self._every_s, self._file = every_s, file
        self._seen: dict[str, datetime] = {}
        """Service → since when what it added may not be signed yet. Only spares reading; a start reads all."""

    @property
    def keys(self) -> dict[str, str]:
        """Key id → public key."""
        return {self._signer.key_id: self._signer.public_key}

    async def run(self) -> None:
        while True:
            try:
                await self.sign()
            except (ServiceError, PyMongoError, OSError) as error:
                log.warning("audit.no_checkpoint", error=str(error)[:200])
            await asyncio.sleep(self._every_s)

    async def sign(self) -> Checkpoint | None:
        """The next checkpoint, if anything was added since the one before."""
        previous = await self._store.newest()
        now = datetime.now(UTC)
        heads, reached = list[Head](), list[str]()
        for service in AUDITED:
            try:
                heads += await self._heads(service)
                reached.append(service)
            except ServiceError as error:  # the others' are signed, and its own when it is back
                log.warning("audit.service_away", service=service, reason=error.reason)
        known = await self._store.signed([head.digest for head in heads])
        moved = [head for head in heads if head.digest not in known]
        made = self._signed(following(previous, moved, now)) if moved else None
        if made is not None and not await self._store.add(made):
            return None
        if made is None or len(made.heads) == len(moved):
            self._seen.update(dict.fromkeys(reached, now))
        if made is not None and self._file is not None:
            await asyncio.to_thread(_append, self._file, made)
        return made

    async def _heads(self, service: str) -> list[Head]:
        since = self._seen.get(service)
        asking = AskHeads(since=since - OVERLAP if since else EVER)
        found: list[Head] = []
        while True:
            page = await self._bus.call(heads_of(service), asking)
            found += page.heads
            if not page.next:
                return found
            asking = msgspec.structs.replace(asking, after=page.next)

    def _signed(self, checkpoint: Checkpoint) -> Checkpoint:
        return msgspec.structs.replace(checkpoint, signature=self._signer.sign(checkpoint_bytes(checkpoint)))


def _append(file: Path, checkpoint: Checkpoint) -> None:
    """One line, on the disk when this returns."""
    with os.fdopen(os.open(file, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o640), "ab") as opened:
        opened.write(msgspec.json.encode(checkpoint) + b"\n")
        opened.flush()
        os.fsync(opened.fileno())
