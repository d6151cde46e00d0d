"""Publishes the commands of one wave."""

import msgspec

from contracts import subjects
from contracts.agents import Cancel, Verb
from runtime.bus import Bus
from runtime.signing import Box, sha256
from services.jobs.dispatch.bodies import Body, body_of
from services.jobs.dispatch.grants import Grants, Unsealable, sealed_parameters
from services.jobs.dispatch.values import Values
from services.jobs.runs.model import RunRecord, Target, Wave
from services.jobs.runs.values import ValueStore

CANCEL_LASTS_S = 300.0

__all__ = ["Sender", "Unsealable"]


class Sender:
    def __init__(self, bus: Bus, grants: Grants, record: RunRecord, wave: Wave, values: ValueStore, box: Box) -> None:
        self._bus, self._grants, self._task = bus, grants, wave.id
        self._body = Body(body_of(record))
        self._values = Values(values, box, record, wave)

    async def run(self, target: Target, lasts_s: float) -> None:
        """Raises Disconnected, or Unsealable if values cannot be read or the host has no key for them."""
        values = await self._values.of(target.id)
        sealed = sealed_parameters(values, target.box_key) if values else ""
        await self._body.publish(self._bus, target.idc)
        headers = self._grants.headers(
            Verb.RUN,
            target.id,
            sha256=self._body.sha256,
            lasts_s=lasts_s,
            task=self._task,
            body_key=self._body.key,
            sealed=sealed,
        )
        await _send(self._bus, target.idc, target.id, self._body.payload, headers)

    async def cancel(self, target: Target, why: Cancel) -> None:
        """Raises Disconnected."""
        await send_cancel(self._bus, self._grants, target.idc, target.id, self._task, why)


async def send_cancel(bus: Bus, grants: Grants, idc: str, host: str, task: str, why: Cancel) -> None:
    """Raises Disconnected."""
    body = msgspec.json.encode(why)
    headers = grants.headers(Verb.CANCEL, host, sha256=sha256(body), lasts_s=CANCEL_LASTS_S, task=task)
    await _send(bus, idc, host, body, headers)


async def _send(bus: Bus, idc: str, host: str, payload: bytes, headers: dict[str, str]) -> None:
    """Every command names a reply subject, so that the server says at once when nobody is there."""
    reply = subjects.ack(idc, host, bus.instance)
    await bus.connection.publish(subjects.command(idc, host), payload, headers=headers, reply=reply)
