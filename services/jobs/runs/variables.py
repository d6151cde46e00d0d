"""The effective variables of hosts, for scripts that ask for them, encrypted.

All hosts of a try read the documents as they were when it was started; a retry reads those that hold then.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from contracts.agents import MASK_ONLY, MAX_SEALED_BYTES, VARIABLE
from contracts.errors import Invalid
from contracts.runs import StartRun
from contracts.variables import HostValues, ResolveVariables, resolve_variables
from runtime.bus import Bus
from runtime.signing import Box
from services.jobs.runs.checks import sealed_size
from services.jobs.runs.model import RunRecord, Target

LOOKED_AT = 200
"""Hosts whose variables are looked at while the caller of a start waits; for so many, mistakes are refused there."""
PAGE_S = 30.0
"""Config may be busy with as much for other runs."""
MOST_BYTES = 16 * 1024
_ASKS = re.compile(r"\bdrover_var\b|\bdrover\.var\b|\bfrom drover import\b[^\n]*\bvar\b")
_GLOBAL = re.compile(r"\bglobal\b")
_NO_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def asked_for(request: StartRun) -> bool:
    """Whether the script reads variables: it says so in its text, or whoever starts it does."""
    return request.needs_variables or bool(request.variables) or bool(_ASKS.search(request.script))


def reads_global(record: RunRecord) -> bool:
    """Whether `global.*` is sent too, which takes room: if the text has that word, or does not tell what it reads."""
    return bool(_GLOBAL.search(record.script)) or not _ASKS.search(record.script)


def document(variables: Mapping[str, Any]) -> str:
    """As YAML, which JSON is but for a few characters that YAML reads otherwise or not at all. Raises Invalid."""
    if not variables:
        return ""
    text = msgspec.json.encode(variables).decode()
    if len(text.encode()) > MOST_BYTES:
        raise Invalid("run.variables_too_large", f"The run's variables have more than {MOST_BYTES} bytes as JSON.")
    return _NO_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


async def looked_at(bus: Bus, box: Box, record: RunRecord, hosts: Sequence[Target]) -> datetime | None:
    """The moment whose variables a try on these hosts will read; None if it reads none.

    Raises Invalid for what speaks against it as far as some of the hosts show, and what config raises. The others are
    looked at when no caller waits.
    """
    if not record.needs_variables:
        return None
    names = [host.id for host in hosts[:LOOKED_AT]]
    resolved = await _resolved(bus, record, names, None)
    await asyncio.to_thread(_closed, box, _masked(box, record), names, resolved.hosts)
    return resolved.at


async def closed(bus: Bus, box: Box, record: RunRecord, hosts: Sequence[str]) -> dict[str, bytes]:
    """Host → what it will be sent, encrypted: masked parameters and its variables. Raises what `looked_at` raises, and
    CannotOpen."""
    resolved = await _resolved(bus, record, hosts, record.variables_at)
    return await asyncio.to_thread(_closed, box, _masked(box, record), hosts, resolved.hosts)


def _masked(box: Box, record: RunRecord) -> dict[str, str]:
    """Its masked parameters. Raises CannotOpen."""
    return {each.name: box.open(each.sealed).decode() for each in record.parameters if each.masked}


class _Resolved(NamedTuple):
    hosts: dict[str, HostValues]
    at: datetime | None


async def _resolved(bus: Bus, record: RunRecord, hosts: Sequence[str], at: datetime | None) -> _Resolved:
    found: dict[str, HostValues] = {}
    with_global = reads_global(record)
    left = tuple(hosts)
    while left:
        asked = ResolveVariables(hosts=left, task=record.variables, at=at, with_global=with_global)
        page = await bus.call(resolve_variables, asked, timeout=PAGE_S)
        found |= {each.host: each for each in page.hosts}
        left, at = page.rest, page.at
    return _Resolved(found, at)


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
