"""Large bodies, which come once for all hosts of an IDC, in pieces, each encrypted, beside the grants.

A piece may come before or after the grant that needs it, or not at all; then the jobs service is asked. What is put
together counts only if its sha256 is the one that was signed, so pieces of different bodies can never be mixed up.
"""

import asyncio
import base64
import re
from collections import OrderedDict

import msgspec

from contracts.agents import BODY_HEADER, MAX_SCRIPT_BYTES, AgentCall, AskBody, BodyPiece, Grant
from contracts.errors import ServiceError
from runtime.bus import Bus, Message
from runtime.signing import Box, CannotOpen, decode, sha256

KEEP_S = 60.0
KEEP_BYTES = 4 * 1024 * 1024
WAIT_S = 3.0
MOST_PIECES = 64
LARGEST_BODY_BYTES = 4 * MAX_SCRIPT_BYTES
"""A script at its largest and its arguments, escaped."""

_HEADER = re.compile(r"([0-9a-f]{64}) (\d{1,3}) (\d{1,3})")


class _Collected:
    def __init__(self, pieces: int, now: float) -> None:
        self.pieces: list[bytes | None] = [None] * pieces
        self.since = now
        self.complete = asyncio.Event()

    @property
    def size(self) -> int:
        return sum(len(piece) for piece in self.pieces if piece is not None)


class Bodies:
    def __init__(self, bus: Bus, idc: str, host: str) -> None:
        self._bus = bus
        self._idc, self._host = idc, host
        self._collected: OrderedDict[str, _Collected] = OrderedDict()

    @property
    def held_bytes(self) -> int:
        return sum(each.size for each in self._collected.values())

    async def received(self, message: Message) -> None:
        """A piece. Nobody has signed it yet, so it is bounded and believed only as part of a whole that fits."""
        found = _HEADER.fullmatch(message.headers.get(BODY_HEADER, ""))
        if found is None:
            return
        name, piece, pieces = found[1], int(found[2]), int(found[3])
        if not piece < pieces <= MOST_PIECES:
            return
        now = asyncio.get_running_loop().time()
        self._forget_old(now)
        collected = self._collected.get(name)
        if collected is None or len(collected.pieces) != pieces:
            collected = self._collected[name] = _Collected(pieces, now)
        collected.pieces[piece] = message.data
        if None not in collected.pieces:
            collected.complete.set()
        while self.held_bytes > KEEP_BYTES:
            self._collected.popitem(last=False)

    async def get(self, grant: Grant) -> bytes | None:
        """The plain body that the grant names; None if it cannot be had now."""
        body = await self._broadcast(grant)
        if body is None:
            body = await self._ask(grant)
        return body

    async def _broadcast(self, grant: Grant) -> bytes | None:
        loop = asyncio.get_running_loop()
        until = loop.time() + WAIT_S
        while (collected := self._collected.get(grant.sha256)) is None or not collected.complete.is_set():
            if loop.time() >= until:
                return None
            # The first piece may not be here yet, so there may be nothing to wait on; this happens once per run.
            await asyncio.sleep(0.05)
        try:
            box = Box(decode(grant.body_key))
            body = b"".join(box.open(piece or b"") for piece in collected.pieces)
        except (CannotOpen, ValueError):
            body = b""
        if sha256(body) == grant.sha256:
            return body
        self._collected.pop(grant.sha256, None)
        return None

    async def _ask(self, grant: Grant) -> bytes | None:
        parts: list[bytes] = []
        pieces = 1
        try:
            while len(parts) < pieces:
                asked = AskBody(task=grant.task, sha256=grant.sha256, piece=len(parts))
                answer = await self._bus.ask_services(self._idc, self._host, AgentCall.BODY, asked, BodyPiece)
                pieces = answer.pieces
                parts.append(base64.b64decode(answer.data, validate=True))
                if pieces > MOST_PIECES or sum(map(len, parts)) > LARGEST_BODY_BYTES:
                    return None
        except (ServiceError, ValueError, msgspec.DecodeError):
            return None
        return b"".join(parts)

    def _forget_old(self, now: float) -> None:
        while self._collected and next(iter(self._collected.values())).since < now - KEEP_S:
            self._collected.popitem(last=False)
