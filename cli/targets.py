"""Which hosts: the words of `-t` and `-x`, and what they mean to the API.

Criteria narrow: `-t idc=js -t tag=web` are the hosts of js that are web. Hosts that are named (an id, an IP, a host
name) are meant as they are: however they are named, all of them are chosen.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import msgspec

from cli.client import Client, typed
from cli.exits import Refused
from contracts.hosts import HostFilter, HostState, ResolveTargets, Targets, TargetSet, resolve_targets

HOST_ID = re.compile(r"h-[0-9a-f]{12}")
KEYS: dict[str, str] = {
    "id": "ids",
    "ip": "ips",
    "host": "hostnames",
    "hostname": "hostnames",
    "idc": "idcs",
    "business": "businesses",
    "line": "product_lines",
    "state": "states",
    "tag": "tags",
    "room": "rooms",
    "rack": "racks",
    "set": "sets",
    "group": "groups",
}
WHERE = "where"
FREE_TEXT = frozenset({"businesses", "product_lines", "rooms", "racks", "sets"})
"""Names that may hold a comma themselves: one value each."""
NAMED = ("ids", "ips", "hostnames")
PAGE = 1000
"""Hosts asked for at a time; there may be more pages."""


@dataclass
class Words:
    """What stood behind `-t`, or behind `-x`, sorted by criterion."""

    criteria: dict[str, list[str]] = field(default_factory=dict)
    named: dict[str, list[str]] = field(default_factory=dict)
    where: list[str] = field(default_factory=list)
    """Expressions, all of which must hold."""
    everything: bool = False
    local: bool = False


def read(words: Iterable[str]) -> Words:
    """Sort the words. Raises UsageError for one that nobody could mean."""
    found = Words()
    for word in words:
        if word == "all":
            found.everything = True
        elif word == "local":
            found.local = True
        elif word.startswith("@"):
            for name in listed(word[1:]):
                found.named.setdefault(kind_of(name), []).append(name)
        elif "=" in word:
            key, _, value = word.partition("=")
            _add_criterion(found, key, value)
        else:
            for name in word.split(","):
                found.named.setdefault(kind_of(name), []).append(name)
    return found


def _add_criterion(found: Words, key: str, value: str) -> None:
    if key == WHERE and value.strip():
        found.where.append(value)
        return
    if key not in KEYS:
        known = ", ".join((*KEYS, WHERE))
        raise click.UsageError(f"nobody chooses hosts by {key!r}: use {known}, or a host's name, id or IP")
    name = KEYS[key]
    values = [value] if name in FREE_TEXT else value.split(",")
    if "" in values:
        raise click.UsageError(f"{key}= needs a value")
    if name == "states" and (wrong := set(values) - set(HostState)):
        raise click.UsageError(f"{', '.join(sorted(wrong))} is not a state of a host: use {', '.join(HostState)}")
    found.criteria.setdefault(name, []).extend(values)


def listed(path: str) -> list[str]:
    """Hosts from a file or, as `-`, from stdin: one or more per line, `#` begins a comment. None at all is an error."""
    try:
        with click.open_file(path) as opened:
            text = opened.read()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"cannot read hosts from {path}: {getattr(error, 'strerror', 'not text')}") from None
    names = [name for line in text.splitlines() for name in re.split(r"[\s,]+", line.partition("#")[0]) if name]
    if not names:
        raise click.UsageError(f"no hosts in {'stdin' if path == '-' else Path(path)}")
    return names


def kind_of(name: str) -> str:
    """How a host is named by this word: by id, IP or host name."""
    if HOST_ID.fullmatch(name):
        return "ids"
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,255}", name):
            raise click.UsageError(f"{name!r} is not an id, an IP or a host name") from None
        return "hostnames"
    return "ips"


def targets(client: Client, chosen: Sequence[str], excluded: Sequence[str], *, allow_unknown: bool) -> Targets:
    """The API's targets for the words of `-t` and `-x`."""
    wanted, unwanted = read(chosen), read(excluded)
    if unwanted.everything or unwanted.local:
        raise click.UsageError("-x takes hosts or criteria, not 'all' or 'local'")
    criteria = _criteria(client, wanted, allow_unknown=allow_unknown)
    exclusion = _criteria(client, unwanted, allow_unknown=allow_unknown)
    if len(exclusion) > 1:
        raise click.UsageError("-x of several kinds would exclude only hosts that fit all of them; give one kind")
    return msgspec.convert(
        {
            **criteria,
            "all": wanted.everything,
            "local": wanted.local,
            "exclude": msgspec.convert(exclusion, HostFilter) if exclusion else None,
            "allow_unknown": allow_unknown,
        },
        Targets,
    )


def _criteria(client: Client, words: Words, *, allow_unknown: bool) -> dict[str, Any]:
    """Criteria by field. Hosts named in several ways become ids, since fields narrow each other."""
    where = {WHERE: together(words.where)} if words.where else {}
    if set(words.named) & set(words.criteria):
        raise click.UsageError("name hosts either with id=, ip=, host= or without; both at once is not clear")
    if len(words.named) <= 1:
        return words.criteria | words.named | where
    if "ids" in words.criteria:
        raise click.UsageError("hosts named in several ways and id= at once is not clear")
    ids = _named(client, words, allow_unknown=allow_unknown)
    if not ids:
        raise Refused("none of the hosts named exists", "drover host list", "targets.empty")
    return words.criteria | {"ids": ids} | where


def together(expressions: Sequence[str]) -> str:
    """One expression that holds where all of them hold."""
    return expressions[0] if len(expressions) == 1 else " and ".join(f"({each})" for each in expressions)


def host_ids(client: Client, words: Iterable[str]) -> tuple[str, ...]:
    """Ids of hosts that are named one by one, in whatever way. Raises UsageError for words that mean anything else."""
    found = read(words)
    if found.criteria or found.where or found.everything or found.local:
        raise click.UsageError("name hosts one by one here: by host name, IP or id, or from a file with @FILE")
    return tuple(_named(client, found, allow_unknown=False))


def _named(client: Client, words: Words, *, allow_unknown: bool) -> list[str]:
    ids = list(words.named.get("ids", []))
    for kind in NAMED[1:]:
        if names := words.named.get(kind):
            ids += _ids(client, msgspec.convert({kind: names, "allow_unknown": allow_unknown}, Targets))
    return ids


def _ids(client: Client, asked: Targets) -> list[str]:
    """None, where unknown names are allowed and these are all unknown: others may be named in another way."""
    try:
        content = client.all_pages(resolve_targets, ResolveTargets(targets=asked, limit=PAGE))
    except Refused as refused:
        if asked.allow_unknown and refused.reason == "targets.empty":
            return []
        raise
    return [host.id for host in typed(content, TargetSet).hosts]
