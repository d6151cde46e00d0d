"""What is sealed for each host of a wave: masked parameters, and variables if the script asks for them."""

from collections.abc import Mapping

import msgspec

from runtime.signing import Box, CannotOpen
from services.jobs.dispatch.grants import Unsealable
from services.jobs.runs.model import RunRecord, Wave
from services.jobs.runs.values import ValueStore

AT_ONCE = 100
"""Hosts read together; a wave is sent in the order of its hosts."""


class Values:
    def __init__(self, store: ValueStore, box: Box, record: RunRecord, wave: Wave) -> None:
        self._store, self._box, self._task = store, box, wave.id
        self._masked = {each.name: each.sealed for each in record.parameters if each.masked}
        self._hosts = [host.id for host in wave.hosts] if record.needs_variables else []
        self._places = {host: place for place, host in enumerate(self._hosts)}
        self._read: dict[str, bytes] = {}
        self._opened: dict[str, str] = {}

    async def of(self, host: str) -> Mapping[str, str]:
        """Nothing if there is nothing to seal. Raises Unsealable if it cannot be read."""
        try:
            if self._hosts:
                return msgspec.json.decode(self._box.open(await self._closed(host)), type=dict[str, str])
            self._opened = self._opened or {name: self._box.open(each).decode() for name, each in self._masked.items()}
        except CannotOpen as error:
            raise Unsealable from error
        return self._opened

    async def _closed(self, host: str) -> bytes:
        if host not in self._read:
            start = self._places[host] // AT_ONCE * AT_ONCE
            self._read = await self._store.of(self._task, self._hosts[start : start + AT_ONCE])
        if host not in self._read:
            raise Unsealable
        return self._read[host]
