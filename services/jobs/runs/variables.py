"""The effective variables of hosts, for scripts that ask for them: resolved when a wave is made, and kept encrypted.

So all hosts of a wave read what held at one time, and a retry reads what holds then.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from contracts.agents import MASK_ONLY, MAX_SEALED_BYTES, VARIABLE
from contracts.errors import Invalid
from contracts.runs import StartRun
from contracts.variables import HostValues, ResolveVariables, resolve_variables
from runtime.bus import Bus
from runtime.signing import Box
from services.jobs.runs.checks import sealed_size
from services.jobs.runs.model import RunRecord, Wave
from services.jobs.runs.values import ValueStore

PAGE = 1000
MOST_BYTES = 16 * 1024
_ASKS = re.compile(r"\bdrover_var\b|\bdrover\.var\b|\bfrom drover import\b[^\n]*\bvar\b")
_NO_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def asked_for(request: StartRun) -> bool:
    """Whether the script reads variables: it says so in its text, or whoever starts it does."""
    return request.needs_variables or bool(request.variables) or bool(_ASKS.search(request.script))


def document(variables: Mapping[str, Any]) -> str:
    """As YAML, which JSON is but for a few characters that YAML reads otherwise or not at all. Raises Invalid."""
    if not variables:
        return ""
    text = msgspec.json.encode(variables).decode()
    if len(text.encode()) > MOST_BYTES:
        raise Invalid("run.variables_too_large", f"The run's variables have more than {MOST_BYTES} bytes as JSON.")
    return _NO_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


async def keep(bus: Bus, store: ValueStore, box: Box, record: RunRecord, wave: Wave) -> None:
    """Resolve and store what the hosts of the wave will be sent. Raises Invalid, and what config raises."""
    if not record.needs_variables:
        return
    masked = {each.name: box.open(each.sealed).decode() for each in record.parameters if each.masked}
    for start in range(0, len(wave.hosts), PAGE):
        hosts = [host.id for host in wave.hosts[start : start + PAGE]]
        found = await _resolved(bus, hosts, record.variables)
        closed = await asyncio.to_thread(_closed, box, masked, hosts, found)
        await store.add(wave.id, closed)


async def _resolved(bus: Bus, hosts: Sequence[str], task: str) -> dict[str, HostValues]:
    found: dict[str, HostValues] = {}
    left = tuple(hosts)
    while left:
        page = await bus.call(resolve_variables, ResolveVariables(hosts=left, task=task))
        found |= {each.host: each for each in page.hosts}
        left = page.rest
    return found


def _closed(
    box: Box, masked: Mapping[str, str], hosts: Sequence[str], found: Mapping[str, HostValues]
) -> dict[str, bytes]:
    """Host → what it will be sent, encrypted. A host that went meanwhile has no variables. Raises Invalid."""
    closed = {}
    for host in hosts:
        entries = {**masked, **(_entries(found[host]) if host in found else {})}
        size = sealed_size(entries)
        if size > MAX_SEALED_BYTES:
            raise Invalid(
                "run.variables_too_large",
                f"The variables of {host} and the masked parameters have {size} bytes once they are sealed;"
                f" {MAX_SEALED_BYTES} are the most. Render what is large from a template.",
            )
        closed[host] = box.close(msgspec.json.encode(entries))
    return closed


def _entries(values: HostValues) -> dict[str, str]:
    variables = {VARIABLE + key: text for key, text in values.flat.items()}
    return variables | {f"{MASK_ONLY}{number}": text for number, text in enumerate(values.secrets)}
