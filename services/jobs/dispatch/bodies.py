"""Bodies of commands: small ones inside the command, large ones once per IDC under a one-time key."""

import os
from collections import OrderedDict

import msgspec

from contracts import subjects
from contracts.agents import BODY_HEADER, INLINE_BODY_BYTES, PIECE_BYTES, AskBody, BodyPiece, RunScript
from contracts.errors import NotFound
from contracts.subjects import HostSubject
from runtime.bus import Bus
from runtime.signing import Box, encode, sha256
from services.jobs.runs.model import RunRecord, run_of
from services.jobs.runs.store import RunStore
from services.jobs.waves import WaveIndex

KEPT_BODIES = 16


def body_of(record: RunRecord) -> bytes:
    """The same bytes whoever makes them, so that any instance can answer for a run."""
    return msgspec.json.encode(
        RunScript(
            language=record.language,
            script=record.script,
            args=record.args,
            parameters={each.name: each.value for each in record.parameters if not each.masked},
            env=record.env,
            account=record.account,
            timeout_s=record.timeout_s,
            kill_grace_s=record.kill_grace_s,
        )
    )


def pieces(body: bytes) -> list[bytes]:
    return [body[start : start + PIECE_BYTES] for start in range(0, len(body), PIECE_BYTES)]


class Body:
    """The body of one wave on its way out."""

    def __init__(self, plain: bytes) -> None:
        self._plain = plain
        self.sha256 = sha256(plain)
        self.inline = len(plain) <= INLINE_BODY_BYTES
        self._key = b"" if self.inline else os.urandom(Box.SIZE)
        self.key = encode(self._key)
        self._published: set[str] = set()

    @property
    def payload(self) -> bytes:
        """What the command itself carries."""
        return self._plain if self.inline else b""

    async def publish(self, bus: Bus, idc: str) -> None:
        """Send a large body to the IDC once. An agent that missed it asks. Raises Disconnected."""
        if self.inline or idc in self._published:
            return
        box, parts = Box(self._key), pieces(self._plain)
        for number, part in enumerate(parts):
            headers = {BODY_HEADER: f"{self.sha256} {number} {len(parts)}"}
            await bus.connection.publish(subjects.body(idc), box.close(part), headers=headers)
        self._published.add(idc)


class BodyDesk:
    """Answers agents that missed a large body, each for its own tasks only."""

    def __init__(self, runs: RunStore, waves: WaveIndex) -> None:
        self._runs, self._waves = runs, waves
        self._bodies: OrderedDict[str, bytes] = OrderedDict()

    async def piece(self, request: AskBody, sender: HostSubject) -> BodyPiece:
        wave = await self._waves.of(request.task)
        target = wave.get(sender.host) if wave else None
        if target is None or target.idc != sender.idc:
            raise NotFound("run.host_unknown", "There is no such task for this host.")
        body = await self._body(run_of(request.task))
        parts = pieces(body)
        if sha256(body) != request.sha256 or not 0 <= request.piece < len(parts):
            raise NotFound("run.unknown", "The task has no such body.")
        return BodyPiece(piece=request.piece, pieces=len(parts), data=encode(parts[request.piece]))

    async def _body(self, run: str) -> bytes:
        if run not in self._bodies:
            self._bodies[run] = body_of(await self._runs.get(run))
            while len(self._bodies) > KEPT_BODIES:
                self._bodies.popitem(last=False)
        self._bodies.move_to_end(run)
        return self._bodies[run]
